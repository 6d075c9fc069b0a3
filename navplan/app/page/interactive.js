// Prompts for an interactive segmenter in a slice: drawn by mouse, pen or finger, sent as points in LPS mm, shown as they were drawn.

import { fromPlane, onPlane } from "./geometry.js";

export const OUTLINE = "drawn outline";  // as in session/interactive.py
export const OUTLINE_RGB = [190, 255, 80];
const TOOL = "prompt-";
const SIGNS = { true: "#7CFC9A", false: "#FF9C8A" };  // in it, not in it; never without + or −
const FINEST_PX = 3, MOST_POINTS = 3900, SMALLEST_BOX_PX = 4;

export const toolOf = (kind) => TOOL + kind;
export const isPrompt = (tool) => tool.startsWith(TOOL);
const kindOf = (tool) => tool.slice(TOOL.length);

// One prompt while it is drawn in a view.
export class Stroke {
  // null where none can be drawn there, which is said.
  static begun(view, event) {
    const { nav } = view, { ui, t } = nav, drawing = nav.interactive && nav.interactive.drawing;
    const refusal = !view.native || !view.picture.count ? t.interactive.not_here : ui.slab > 0 ? t.interactive.no_slab : drawing && drawing.work ? t.interactive.wait : "";
    if (refusal) { nav.say(refusal); return null; }
    return new Stroke(view, event);
  }

  constructor(view, event) {
    const { ui } = view.nav;
    Object.assign(this, { view, tool: ui.tool, kind: kindOf(ui.tool), positive: !ui.exclude, from: event, last: event });
    this.points = [this.kind === "point" ? view.toPoint(event) : this.inside(event)];
  }

  // Beyond the picture's edge the last voxel counts: an outline round about what reaches the edge.
  inside(event) {
    const p = this.view.picture, [u, v] = onPlane(p, this.view.toPoint(event));
    const clamp = (x, size, mm) => Math.min(Math.max(x, (-(size - 1) / 2) * mm), ((size - 1) / 2) * mm);
    return fromPlane(p, clamp(u, p.width, p.pixel_mm[0]), clamp(v, p.height, p.pixel_mm[1]));
  }

  goOn(event) {
    if (this.kind === "point") { this.points = [this.view.toPoint(event)]; this.view.redraw(); return; }
    const point = this.inside(event);
    if (this.kind === "box") this.points = [this.points[0], point];
    else if (Math.hypot(event.clientX - this.last.clientX, event.clientY - this.last.clientY) < FINEST_PX || this.points.length > MOST_POINTS) return;
    else this.points.push(point);
    this.last = event;
    this.view.redraw();
  }

  send() {
    const { nav } = this.view;
    if (nav.ui.tool !== this.tool) return;  // it was put away meanwhile
    const small = this.kind === "box" && (this.points.length < 2 || Math.hypot(this.last.clientX - this.from.clientX, this.last.clientY - this.from.clientY) < SMALLEST_BOX_PX);
    if (small || (this.kind === "lasso" && this.points.length < 3)) return;
    nav.drawFor("prompt", { kind: this.kind, points: this.points, positive: this.positive, normal: this.view.picture.into });
  }
}

// What was drawn in this slice, and what is being drawn.
export function drawMarks(c, view, dpr) {
  const half = Math.abs(view.picture.step_mm) / 2 + 1e-3, here = (mark) => mark.points.every((point) => Math.abs(onPlane(view.picture, point)[2]) < half);
  for (const mark of view.nav.promptMarks) if (here(mark)) drawMark(c, view, mark, dpr);
  const pending = view.nav.promptPending;
  c.globalAlpha = 0.6;
  if (pending && here(pending)) drawMark(c, view, pending, dpr);
  c.globalAlpha = 1;
  if (view.prompted) drawMark(c, view, view.prompted, dpr);
}

function drawMark(c, view, { kind, positive, points }, dpr) {
  const seen = points.map((point) => view.toCanvas(point)), tint = SIGNS[positive];
  if (kind !== "point") {
    const line = kind === "box" && seen.length === 2 ? corners(view, points) : kind === "lasso" ? [...seen, seen[0]] : seen;
    for (const [colour, wide] of [["rgba(0,0,0,.7)", 4.5], [tint, kind === "scribble" ? 3 : 1.8]]) {
      c.strokeStyle = colour; c.lineWidth = wide * dpr; c.lineJoin = c.lineCap = "round";
      c.beginPath();
      line.forEach(([x, y], n) => (n ? c.lineTo(x, y) : c.moveTo(x, y)));
      c.stroke();
    }
  }
  sign(c, seen[0], positive, tint, dpr);
}

function corners(view, [a, b]) {
  const p = view.picture, [u, v] = onPlane(p, a), d = onPlane(p, b), place = (x, y) => view.toCanvas(fromPlane(p, x, y));
  return [place(u, v), place(d[0], v), place(d[0], d[1]), place(u, d[1]), place(u, v)];
}

function sign(c, [x, y], positive, tint, dpr) {
  const r = 7 * dpr, a = 4 * dpr;
  c.fillStyle = "rgba(10,14,18,.85)"; c.strokeStyle = tint; c.lineWidth = 1.8 * dpr;
  c.beginPath(); c.arc(x, y, r, 0, 2 * Math.PI); c.fill(); c.stroke();
  c.beginPath(); c.moveTo(x - a, y); c.lineTo(x + a, y);
  if (positive) { c.moveTo(x, y - a); c.lineTo(x, y + a); }
  c.stroke();
}

// The outline of what nobody has accepted yet: dashed over black. s: px a mm.
export function strokeDrawn(c, path, s, dpr) {
  const tint = c.strokeStyle, wide = c.lineWidth;
  c.strokeStyle = "rgba(0,0,0,.8)"; c.lineWidth = (3.6 * dpr) / s; c.stroke(path);
  c.strokeStyle = tint; c.lineWidth = (2 * dpr) / s; c.setLineDash([(8 * dpr) / s, (5 * dpr) / s]); c.stroke(path);
  c.setLineDash([]); c.lineWidth = wide;
}
