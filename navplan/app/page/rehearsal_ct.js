// Slices of the planning CT and of control scans; the needle is set on the skin here.

import { Latest, get, unpacked } from "./api.js";
import { fitted, outlined, windowed } from "./drawing.js";
import { add, fromPlane, onPlane, sub } from "./geometry.js";
import { el, filled } from "./rehearsal_dom.js";

export const WINDOWS = { lung: [-600, 1500], soft: [40, 400], bone: [400, 1800], wide: [-350, 1400] };
const RING_PX = 13, LEAST_DRAG_MM = 8;

export class CtView {
  // room: what all views share (of, at, window, setting); t: words.
  constructor(room, name, t) {
    Object.assign(this, { room, name, t, cut: name === "axial" ? "axial" : "sagittal", picture: null, drag: null, zoom: 1, pan: [0, 0] });
    this.canvas = el("canvas", { tabindex: "0", role: "img", test: `ct-${name}` });
    this.choice = el("select", { test: `cut-${name}`, "aria-label": t.cut, onchange: () => { this.cut = this.choice.value; this.ask(); } });
    this.element = el("section", { class: "re-view", "data-view": `ct-${name}` }, this.canvas, el("div", { class: "re-over" }, this.choice));
    this.latest = new Latest(({ of, cut, at }) => get("rehearsal/slice", { of, cut, at: at.map((one) => one.toFixed(3)).join(",") }),
      (response, asked) => this.take(response, asked), (error) => room.failed(error));
    fitted(this.canvas, () => this.draw());
    this.canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.turned(event); }, { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    this.canvas.addEventListener("pointermove", (event) => this.moved(event));
    this.canvas.addEventListener("pointerup", (event) => this.released(event));
  }

  // Which cuts there are: of a scan with a needle also along it.
  offer(along) {
    const cuts = ["axial", "coronal", "sagittal", ...(along ? ["along"] : [])];
    if (this.offered === cuts.join()) return;
    this.offered = cuts.join();
    if (!cuts.includes(this.cut)) this.cut = this.name === "axial" ? "axial" : "sagittal";
    this.choice.replaceChildren(...cuts.map((one) => el("option", { value: one }, this.t.cuts[one])));
    this.choice.value = this.cut;
  }

  ask() {
    this.choice.value = this.cut;
    this.latest.ask({ of: this.room.of, cut: this.cut, at: this.room.at });
  }

  async take(response, asked) {
    this.picture = response.status === 204 ? null : await unpacked(response);
    this.shown = asked;
    this.grey = null;
    this.draw();
    this.canvas.dataset.drawn = `${asked.of}/${asked.cut}`;
  }

  // px a mm, and where the middle is
  place() {
    const { width, height } = this.canvas, p = this.picture;
    const scale = Math.min(width / (p.width * p.pixel_mm[0]), height / (p.height * p.pixel_mm[1])) * this.zoom;
    return { scale, x: width / 2 + this.pan[0], y: height / 2 + this.pan[1] };
  }

  draw() {
    const c = this.canvas.getContext("2d"), { width, height } = this.canvas, dpr = window.devicePixelRatio || 1, p = this.picture, t = this.t;
    c.fillStyle = "#000"; c.fillRect(0, 0, width, height);
    if (!p) return;
    const key = String(this.room.window);
    if (!this.grey || this.greyKey !== key) { this.grey = windowed(p, WINDOWS[this.room.window]); this.greyKey = key; }
    const { scale, x, y } = this.place(), wide = p.width * p.pixel_mm[0] * scale, tall = p.height * p.pixel_mm[1] * scale;
    c.imageSmoothingEnabled = true;
    c.drawImage(this.grey, x - wide / 2, y - tall / 2, wide, tall);
    const at = (point) => { const [u, v, w] = onPlane(p, point); return [x + u * scale, y + v * scale, w]; };
    const near = Math.max(p.thick_mm, 2.5), { ring, offered, line, plan } = this.room.marks(this.shown.of);
    if (plan) this.dashed(c, at(plan.entry_mm), at(plan.target_mm), "#E66BD3", dpr);
    if (ring) this.circle(c, at(ring), near, "#E66BD3", dpr, t.target);
    if (offered) this.circle(c, at(offered), 3 * near, "#8fbeff", dpr, t.offered);
    if (line) this.dashed(c, at(line[0]), at(line[1]), "#F4F8FF", dpr, []);
    if (this.drag) this.dashed(c, this.drag.from, this.drag.to, "#8fbeff", dpr);
    c.font = `600 ${15 * dpr}px sans-serif`;
    const [left, right, top, bottom] = p.letters, edge = 14 * dpr;
    outlined(c, left, edge, height / 2, "center", "#e8edf2"); outlined(c, right, width - edge, height / 2, "center", "#e8edf2");
    outlined(c, top, width / 2, edge, "center", "#e8edf2"); outlined(c, bottom, width / 2, height - edge, "center", "#e8edf2");
    c.font = `${13 * dpr}px sans-serif`;
    outlined(c, this.room.title(this.shown.of), 10 * dpr, height - 12 * dpr, "left", "#e8edf2");
    this.bar(c, scale, width, height, dpr);
    this.canvas.setAttribute("aria-label", filled(t.slice_told, { title: this.room.title(this.shown.of), cut: t.cuts[this.shown.cut], left, right }));
  }

  bar(c, scale, width, height, dpr) {
    const mm = [100, 50, 20, 10].find((one) => one * scale < width / 3) || 10, x = width - 14 * dpr, y = height - 12 * dpr;
    c.strokeStyle = "#f4f8ff"; c.lineWidth = 2 * dpr;
    c.beginPath(); c.moveTo(x, y); c.lineTo(x - mm * scale, y); c.stroke();
    outlined(c, `${mm} mm`, x, y - 11 * dpr, "right", "#e8edf2");
  }

  circle(c, [x, y, w], near, tint, dpr, words) {
    if (Math.abs(w) > near) return;
    for (const [style, wide] of [["rgba(0,0,0,.8)", 4], [tint, 2]]) {
      c.strokeStyle = style; c.lineWidth = wide * dpr; c.beginPath(); c.arc(x, y, RING_PX * dpr, 0, 7); c.stroke();
    }
    c.font = `${13 * dpr}px sans-serif`;
    outlined(c, words, x + (RING_PX + 5) * dpr, y, "left", tint);
  }

  dashed(c, [x0, y0], [x1, y1], tint, dpr, dash = [6, 4]) {
    c.save(); c.strokeStyle = tint; c.lineWidth = 2 * dpr; c.setLineDash(dash.map((one) => one * dpr));
    c.beginPath(); c.moveTo(x0, y0); c.lineTo(x1, y1); c.stroke(); c.restore();
  }

  // Slice by slice; Ctrl: larger, smaller.
  turned(event) {
    const sign = Math.sign(event.deltaY);
    if (!this.picture || !sign) return;
    if (event.ctrlKey) { this.zoom = Math.min(6, Math.max(1, this.zoom * (sign > 0 ? 0.87 : 1.15))); if (this.zoom === 1) this.pan = [0, 0]; this.draw(); } else this.step(sign);
  }

  step(by) {
    const p = this.picture;
    if (!p || !p.count) return;
    this.room.go(add(this.room.at, p.into, by * p.step_mm));
  }

  pixel(event) {
    const box = this.canvas.getBoundingClientRect(), dpr = this.canvas.width / box.width;
    return [(event.clientX - box.left) * dpr, (event.clientY - box.top) * dpr];
  }

  pointAt([px, py]) {
    const { scale, x, y } = this.place();
    return fromPlane(this.picture, (px - x) / scale, (py - y) / scale);
  }

  pressed(event) {
    if (event.button || !this.picture) return;
    this.canvas.focus();
    const from = this.pixel(event);
    this.canvas.setPointerCapture(event.pointerId);
    if (this.room.setting) this.drag = { from, to: from };
    else if (event.shiftKey) this.panning = [...from, ...this.pan];
    else this.room.go(this.pointAt(from));
  }

  moved(event) {
    const [x, y] = this.pixel(event);
    if (this.panning) { const [fx, fy, px, py] = this.panning; this.pan = [px + x - fx, py + y - fy]; this.draw(); }
    if (this.drag) { this.drag.to = [x, y]; this.draw(); }
  }

  released() {
    this.panning = null;
    if (!this.drag) return;
    const from = this.pointAt(this.drag.from), to = this.pointAt(this.drag.to);
    this.drag = null;
    this.draw();
    const along = sub(to, from);
    this.room.set(from, Math.hypot(...along) >= LEAST_DRAG_MM ? along : null);
  }
}
