// Vectors in LPS mm, planes, and a camera.

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const add = (a, b, t = 1) => [a[0] + t * b[0], a[1] + t * b[1], a[2] + t * b[2]];
export const sub = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
export const length = (a) => Math.sqrt(dot(a, a));
export const unit = (a) => add([0, 0, 0], a, 1 / (length(a) || 1));

// mm to the right and down of the plane's centre, and behind it
export function onPlane(plane, point) {
  const offset = sub(point, plane.centre_mm);
  return [dot(offset, plane.right), dot(offset, plane.down), dot(offset, plane.into)];
}

export function fromPlane(plane, u, v, w = 0) {
  return add(add(add(plane.centre_mm, plane.right, u), plane.down, v), plane.into, w);
}

// Where a plane cuts an ellipsoid about a direction, half axes [along, across] mm: points u, v, or none. As in
// view/zone_outline.py.
export function ellipseOnPlane(plane, { centre_mm, direction }, [along, across], sides = 180) {
  if (!(along > 0 && across > 0)) return [];
  const times = (v) => add(add([0, 0, 0], v, 1 / across ** 2), direction, dot(direction, v) * (1 / along ** 2 - 1 / across ** 2));
  const offset = sub(plane.centre_mm, centre_mm), r = times(plane.right), d = times(plane.down);
  const a = dot(plane.right, r), b = dot(plane.right, d), e = dot(plane.down, d), g = dot(offset, r), h = dot(offset, d);
  const det = a * e - b * b, u = (b * h - e * g) / det, v = (b * g - a * h) / det;
  const size = 1 - dot(offset, times(offset)) + a * u * u + 2 * b * u * v + e * v * v;
  if (!(size > 0)) return [];
  const l = Math.sqrt(a), m = b / l, n = Math.sqrt(e - m * m), s = Math.sqrt(size);
  return Array.from({ length: sides + 1 }, (_, k) => {
    const t = (2 * Math.PI * k) / sides, y = (s * Math.sin(t)) / n;
    return [u + (s * Math.cos(t) - m * y) / l, v + y];
  });
}

export function valueAt(picture, u, v) {
  const x = Math.round(u / picture.pixel_mm[0] + (picture.width - 1) / 2);
  const y = Math.round(v / picture.pixel_mm[1] + (picture.height - 1) / 2);
  if (x < 0 || y < 0 || x >= picture.width || y >= picture.height) return null;
  const value = picture.values[y * picture.width + x];
  return value === picture.nothing ? null : value;
}

export function cameraAxes(camera) {
  const back = unit(sub(camera.position, camera.focal));
  const right = unit(cross(camera.up, back));
  return { right, up: cross(back, right), back };
}

// px from the upper left corner, and the depth in mm
export function project(camera, point, width, height) {
  const { right, up, back } = cameraAxes(camera);
  const seen = sub(point, camera.position);
  const depth = -dot(seen, back);
  const scale = height / (2 * Math.tan((camera.angle * Math.PI) / 360));
  if (depth < 1) return null;
  return [width / 2 + (dot(seen, right) / depth) * scale, height / 2 - (dot(seen, up) / depth) * scale, depth];
}

export function turned(camera, dx, dy) {
  const { right, up } = cameraAxes(camera);
  let offset = sub(camera.position, camera.focal);
  offset = rotated(offset, up, -dx);
  offset = rotated(offset, right, -dy);
  return { ...camera, position: add(camera.focal, offset), up: rotated(rotated(up, up, -dx), right, -dy) };
}

function rotated(vector, axis, angle) {
  const c = Math.cos(angle), s = Math.sin(angle), k = dot(axis, vector) * (1 - c), turned = cross(axis, vector);
  return [0, 1, 2].map((n) => vector[n] * c + turned[n] * s + axis[n] * k);
}

export function moved(camera, dx, dy, height) {
  const { right, up } = cameraAxes(camera);
  const mm = (2 * length(sub(camera.position, camera.focal)) * Math.tan((camera.angle * Math.PI) / 360)) / height;
  const by = add(add([0, 0, 0], right, -dx * mm), up, dy * mm);
  return { ...camera, position: add(camera.position, by), focal: add(camera.focal, by) };
}

export function nearer(camera, factor) {
  const offset = sub(camera.position, camera.focal);
  const far = Math.min(Math.max(length(offset) * factor, 30), 4000);
  return { ...camera, position: add(camera.focal, unit(offset), far) };
}
