// Which part is under a pixel: the first that is shown and not faded there.

// The nearest hit of a ray from `start` along the unit vector `way`: { place, mm } or null.
function firstHit(parts, shown, start, way, fadedAt) {
  let best = null;
  parts.forEach(({ is }, place) => {
    if (!shown[place] || is.look !== "solid") return;
    const offset = sub(is.middle, start), along = dot(offset, way);
    if (dot(offset, offset) - along * along > is.radius * is.radius || (best && along - is.radius > best.far)) return;
    for (const far of hits(is, start, way)) {
      if (best && far >= best.far) continue;
      const mm = add(start, way, far);
      if (!fadedAt(mm, place)) best = { far, place, mm };
    }
  });
  return best;
}

// Distances at which a ray meets a mesh, by Moeller and Trumbore in the mesh's own steps
function hits(is, start, way) {
  const found = [], { places: p, indices, low, size } = is;
  const [ox, oy, oz] = [0, 1, 2].map((n) => ((start[n] - low[n]) / size[n]) * 65535);
  const [dx, dy, dz] = [0, 1, 2].map((n) => (way[n] / size[n]) * 65535);
  for (let corner = 0; corner < indices.length; corner += 3) {
    const a = 3 * indices[corner], b = 3 * indices[corner + 1], c = 3 * indices[corner + 2];
    const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
    const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
    const hx = dy * vz - dz * vy, hy = dz * vx - dx * vz, hz = dx * vy - dy * vx;
    const flat = ux * hx + uy * hy + uz * hz;
    if (flat === 0) continue;
    const sx = ox - p[a], sy = oy - p[a + 1], sz = oz - p[a + 2], u = (sx * hx + sy * hy + sz * hz) / flat;
    if (u < 0 || u > 1) continue;
    const qx = sy * uz - sz * uy, qy = sz * ux - sx * uz, qz = sx * uy - sy * ux;
    const v = (dx * qx + dy * qy + dz * qz) / flat, far = (vx * qx + vy * qy + vz * qz) / flat;
    if (v >= 0 && u + v <= 1 && far > 0) found.push(far);
  }
  return found.sort((a, b) => a - b);
}
