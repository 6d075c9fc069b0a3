// What stands between the eye and the needle, the target and the nearest dangers is faded. As the shader in draw.js has it.

const CUTS = { anatomy: [16, 0.14], skin: [26, 0], entries: [22, 0], none: [0, 1] };  // reach (mm), alpha inside it
const SHORT_MM = 3;  // in front of what must be seen nothing is faded

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
  return faded + (1 - faded) * Math.min(Math.max((awayFrom(mm, sights) - reach) / 3, 0), 1);
}

// The cutaway of a mesh: none where no line of sight comes near the ball around it.
function cutOf(is, sights) {
  const [reach, faded] = CUTS[is.cut];
  if (!reach || !sights) return CUTS.none;
  const [a, b, c] = sights.fan, near = reach + 3 + is.radius, offset = sub(is.middle, sights.eye);
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
