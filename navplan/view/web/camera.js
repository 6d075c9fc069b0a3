// Vectors in LPS mm, and a camera: position, focal point, direction towards the picture's top, vertical angle (degrees).

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const add = (a, b, t = 1) => [a[0] + t * b[0], a[1] + t * b[1], a[2] + t * b[2]];
const sub = (a, b) => add(a, b, -1);
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const length = (a) => Math.sqrt(dot(a, a));
const unit = (a) => add([0, 0, 0], a, 1 / (length(a) || 1));

function cameraAxes(camera) {
  const back = unit(sub(camera.position, camera.focal)), right = unit(cross(camera.up, back));
  return { right, up: cross(back, right), back };
}

const distance = (camera) => length(sub(camera.position, camera.focal));

// mm of a pixel at the depth of the focal point
const pixelSize = (camera, height) => (2 * distance(camera) * Math.tan((camera.angle * Math.PI) / 360)) / height;

// px from the upper left corner, and the depth in mm
function project(camera, point, width, height) {
  const { right, up, back } = cameraAxes(camera), offset = sub(point, camera.position);
  const depth = Math.max(-dot(offset, back), 1e-6), scale = height / (2 * Math.tan((camera.angle * Math.PI) / 360));
  return [width / 2 + (dot(offset, right) / depth) * scale, height / 2 - (dot(offset, up) / depth) * scale, depth];
}

// Unit direction from the camera through a pixel
function sightOf(camera, x, y, width, height) {
  const { right, up, back } = cameraAxes(camera), scale = (2 * Math.tan((camera.angle * Math.PI) / 360)) / height;
  return unit(add(add(add([0, 0, 0], right, (x - width / 2) * scale), up, (height / 2 - y) * scale), back, -1));
}

function rotated(vector, axis, angle) {
  const c = Math.cos(angle), s = Math.sin(angle), k = dot(axis, vector) * (1 - c), turn = cross(axis, vector);
  return [0, 1, 2].map((n) => vector[n] * c + turn[n] * s + axis[n] * k);
}

// The scene turned by angles (radians) to the right and down
function turned(camera, across, down) {
  const { right, up } = cameraAxes(camera);
  const offset = rotated(rotated(sub(camera.position, camera.focal), up, -across), right, -down);
  return { ...camera, position: add(camera.focal, offset), up: rotated(up, right, -down) };
}

// The scene moved by so many pixels to the right and down
function moved(camera, dx, dy, height) {
  const { right, up } = cameraAxes(camera), mm = pixelSize(camera, height);
  const by = add(add([0, 0, 0], right, -dx * mm), up, dy * mm);
  return { ...camera, position: add(camera.position, by), focal: add(camera.focal, by) };
}

function nearer(camera, factor, least, most) {
  const back = cameraAxes(camera).back, far = Math.min(Math.max(distance(camera) * factor, least), most);
  return { ...camera, position: add(camera.focal, back, far) };
}

// From the side that `back` points to, at the same distance
function lookedAtFrom(camera, back, up) {
  const upright = Math.abs(dot(back, up)) < 0.9 ? up : [0, 0, 1];
  return { ...camera, position: add(camera.focal, back, distance(camera)), up: upright };
}

// The patient's side that a direction points to, largest component first
function sideLetters(direction, most = 2) {
  const names = ["LR", "PA", "SI"], way = unit(direction);
  const order = [0, 1, 2].sort((a, b) => Math.abs(way[b]) - Math.abs(way[a])).filter((axis) => Math.abs(way[axis]) > 0.2);
  return order.map((axis) => names[axis][way[axis] > 0 ? 0 : 1]).join("").slice(0, most);
}
