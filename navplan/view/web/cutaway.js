// What stands between the eye and the needle, the target and the nearest dangers is faded. As the shader in draw.js has it.

const CUTS = { anatomy: [16, 0.14], skin: [26, 0], entries: [22, 0], none: [0, 1] };  // reach (mm), alpha inside it
const SHORT_MM = 3, EDGE_MM = 3;  // nothing is faded so near what must be seen; over this length it becomes solid

// Lines of sight from an eye: those to the shaft fill a fan, those to the spots stand alone. None without a needle.
function sightsFrom(eye, scene) {
  if (!scene.shaft) return null;
  const ways = [...scene.shaft, ...scene.spots].map((point) => {
    const way = sub(point, eye), far = length(way);
    return [...add([0, 0, 0], way, 1 / far), far - SHORT_MM];
  });
  const [near, far, ...spots] = ways;
  let across = cross(near, far);
  if (length(across) < 1e-6) across = cross(near, Math.abs(near[2]) < 0.9 ? [0, 0, 1] : [1, 0, 0]);
  const side = unit(cross(unit(across), near));
  return { eye, fan: [near, [...side, far[3]], [...far.slice(0, 3), 0]], spots };
}

// How far a point is from the lines of sight that it stands in front of, mm
function awayFrom(mm, { eye, fan: [a, b, c], spots }) {
  const offset = sub(mm, eye), x = dot(offset, a), y = dot(offset, b), z = dot(offset, c), fx = dot(c, a), fy = dot(c, b);
  let along = 0;
  if (y <= 0) along = x < a[3] ? Math.max(x, 0) : 0;
  else if (fx * y - fy * x >= 0) along = z < b[3] ? Math.max(z, 0) : 0;
  else if (b[3] * fy * x + (a[3] - b[3] * fx) * y < a[3] * b[3] * fy) along = Math.hypot(x, y);
  for (const spot of spots) {
    const part = dot(offset, spot);
    if (part < spot[3]) along = Math.max(along, part);
  }
  return Math.sqrt(Math.max(dot(offset, offset) - along * along, 0));
}

// How solid the cutaway leaves a point
function solidAt(mm, sights, [reach, faded]) {
  if (!reach || !sights) return 1;
  return faded + (1 - faded) * Math.min(Math.max((awayFrom(mm, sights) - reach) / EDGE_MM, 0), 1);
}

// The corners of a mesh's triangles that are left solid, and of the rest: [solid, thin], each of the kind that `is.indices` is.
function parted(is, sights, [reach]) {
  const { places, low, size, indices } = is, scale = size.map((one) => one / 65535), whole = reach + EDGE_MM;
  const left = new Uint8Array(is.vertices), [a, b, c] = sights.fan, fx = dot(c, a), fy = dot(c, b), spots = sights.spots;
  const edge = b[3] * fy, slope = a[3] - b[3] * fx, full = a[3] * b[3] * fy, start = sub(low, sights.eye);
  for (let vertex = 0, i = 0; vertex < is.vertices; vertex++, i += 3) {
    const u = start[0] + scale[0] * places[i], v = start[1] + scale[1] * places[i + 1], w = start[2] + scale[2] * places[i + 2];
    const x = a[0] * u + a[1] * v + a[2] * w, y = b[0] * u + b[1] * v + b[2] * w;
    let along = 0;
    if (y <= 0) along = x < a[3] ? x : 0;
    else if (fx * y - fy * x >= 0) {
      const z = c[0] * u + c[1] * v + c[2] * w;
      along = z < b[3] ? z : 0;
    } else if (edge * x + slope * y < full) along = Math.sqrt(x * x + y * y);
    for (const spot of spots) {
      const part = spot[0] * u + spot[1] * v + spot[2] * w;
      if (part < spot[3] && part > along) along = part;
    }
    left[vertex] = along <= 0 || u * u + v * v + w * w - along * along >= whole * whole ? 1 : 0;
  }
  const solid = new indices.constructor(indices.length), thin = new indices.constructor(indices.length);
  let kept = 0, gone = 0;
  for (let i = 0; i < indices.length; i += 3) {
    const p = indices[i], q = indices[i + 1], r = indices[i + 2];
    if (left[p] && left[q] && left[r]) {
      solid[kept++] = p;
      solid[kept++] = q;
      solid[kept++] = r;
    } else {
      thin[gone++] = p;
      thin[gone++] = q;
      thin[gone++] = r;
    }
  }
  return [solid.subarray(0, kept), thin.subarray(0, gone)];
}

// The cutaway of a mesh: none where no line of sight comes near the ball around it.
function cutOf(is, sights) {
  const [reach, faded] = CUTS[is.cut];
  if (!reach || !sights) return CUTS.none;
  const [a, b, c] = sights.fan, near = reach + EDGE_MM + is.radius, offset = sub(is.middle, sights.eye);
  const lines = [...sights.spots];
  for (let step = 0; step <= 40; step++) {
    const way = add(add([0, 0, 0], a, 1 - step / 40), c, step / 40);
    lines.push([...unit(way), Math.max(a[3], b[3])]);
  }
  const met = lines.some((line) => {
    const along = Math.min(Math.max(dot(offset, line), 0), line[3]);
    return length(add(offset, line, -along)) < near + 3;
  });
  return met ? [reach, faded] : CUTS.none;
}
