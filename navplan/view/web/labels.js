// Places for labels: in the picture, off each other, off what must stay free, on empty ground if it can be.
// As view/labels.py places them on a still.

// labels: { x, y, pointed, wide, tall }; taken: boxes [left, top, right, bottom]; needle: [[x, y], [x, y]];
// busy: as Painter.busy gives it. Gives a box for each.
function placeLabels(labels, taken, needle, busy, width, height, text) {
  const boxes = [], all = [...taken];
  for (const label of labels) {
    let best = null, least = Infinity;
    for (const box of candidates(label, width, height, text)) {
      if (all.some((other) => overlaps(box, other, 0.35 * text))) continue;
      const cost = costOf(box, label, labels, boxes, needle, busy, width, height, text);
      if (cost < least) [best, least] = [box, cost];
    }
    best = best || free(label, all, width, height);
    boxes.push(best);
    all.push(best);
  }
  return boxes;
}

function candidates(label, width, height, text) {
  const found = [], margin = 0.8 * text;
  for (const reach of [3.5, 6, 9, 12, 16, 21, 27]) for (let turn = 0; turn < 32; turn++) {
    const angle = (turn * Math.PI) / 16;
    const x = label.x + (reach * text + label.wide / 2) * Math.cos(angle) - label.wide / 2;
    const y = label.y + (reach * text + label.tall / 2) * Math.sin(angle) - label.tall / 2;
    if (x >= margin && y >= margin && x <= width - label.wide - margin && y <= height - label.tall - margin)
      found.push([x, y, x + label.wide, y + label.tall]);
  }
  return found;
}

function costOf(box, label, labels, boxes, needle, busy, width, height, text) {
  const [x, y] = leaderEnd(box, label);
  let cost = 26 * covered(box, busy, width, height) + (0.55 * Math.hypot(x - label.x, y - label.y)) / text;
  if (needle) {
    cost += 60 * lineHits(needle, box);
    if (label.pointed) cost += 30 * runsAlong([[label.x, label.y], [x, y]], needle, 0.7 * text);
  }
  for (const other of labels) cost += 60 * inside([other.x, other.y], box, 0.6 * text);
  boxes.forEach((there, place) => {
    const other = labels[place];
    if (!other.pointed) return;
    const end = leaderEnd(there, other), line = [[other.x, other.y], end];
    cost += 50 * lineHits(line, box);
    if (label.pointed)
      cost += 40 * crosses([label.x, label.y], [x, y], ...line) + 50 * lineHits([[label.x, label.y], [x, y]], there);
  });
  return cost;
}

// The point of a plate's edge where its leader starts
function leaderEnd([left, top, right, bottom], { x, y }) {
  return [Math.min(Math.max(x, left), right), Math.min(Math.max(y, top), bottom)];
}

function covered([left, top, right, bottom], busy, width, height) {
  if (!busy) return 0;
  const column = (x) => Math.min(Math.max(Math.floor((x / width) * busy.columns), 0), busy.columns - 1);
  const row = (y) => Math.min(Math.max(Math.floor((y / height) * busy.rows), 0), busy.rows - 1);
  let sum = 0, count = 0;
  for (let y = row(top); y <= row(bottom); y++) for (let x = column(left); x <= column(right); x++) {
    sum += busy.values[y * busy.columns + x];
    count++;
  }
  return sum / count;
}

// The first free place down the right edge, then the left
function free({ wide, tall }, taken, width, height) {
  let box = null;
  for (const left of [width - wide - 4, 4]) for (let top = 4; top < Math.max(5, height - tall - 4); top += 6) {
    box = [left, top, left + wide, top + tall];
    if (!taken.some((other) => overlaps(box, other, 1))) return box;
  }
  return box;
}

const overlaps = (a, b, gap) => a[0] < b[2] + gap && b[0] < a[2] + gap && a[1] < b[3] + gap && b[1] < a[3] + gap;

const inside = ([x, y], box, gap) => Number(box[0] - gap < x && x < box[2] + gap && box[1] - gap < y && y < box[3] + gap);

const between = ([a, b], share) => [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])];

function lineHits(line, box) {
  for (let step = 1; step < 40; step++) if (inside(between(line, step / 40), box, 3)) return 1;
  return 0;
}

// 0..1: how much a leader, past its first part, keeps near a line or crosses it
function runsAlong(leader, line, gap) {
  const [a, b] = line, way = [b[0] - a[0], b[1] - a[1]], long = Math.max(way[0] ** 2 + way[1] ** 2, 1e-9);
  let near = 0;
  for (let step = 0; step < 40; step++) {
    const [x, y] = between(leader, 0.15 + (0.85 * step) / 39);
    const share = Math.min(Math.max(((x - a[0]) * way[0] + (y - a[1]) * way[1]) / long, 0), 1);
    near += Math.hypot(x - a[0] - share * way[0], y - a[1] - share * way[1]) < gap ? 1 : 0;
  }
  return Math.max(near / 40, near ? 0.35 : 0);
}

function crosses(a, b, c, d) {
  const side = (p, q, r) => (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
  return Number(side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0);
}
