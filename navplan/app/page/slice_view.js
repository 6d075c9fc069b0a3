// A slice or a plane of the needle: drawn here from its values, so that window, zoom and measures wait for nobody.

import { Latest, get, unpacked } from "./api.js";
import { VERDICTS, fitted, outlined, pathOf, plate, shortened, windowed } from "./drawing.js";
import { laidOver, saidOver, valuesAt } from "./fusion.js";
import { OUTLINE, Stroke, drawMarks, isPrompt, strokeDrawn } from "./interactive.js";
import { add, ellipseOnPlane, fromPlane, length, onPlane, sub, valueAt } from "./geometry.js";

const NATIVE = ["axial", "coronal", "sagittal"];
const ZONE = "#5AE6FF";  // as in the scene
const EDITS = ["paint", "erase", "threshold"];
const REACH_PX = 14, SCROLL_PX = 9;
const colour = (rgb, alpha = 1) => `rgba(${rgb[0]},${rgb[1]},${rgb[2]},${alpha})`;

export default {
  props: { kind: String },
  inject: ["nav"],
  template: `
    <section class="np-view" :class="{ 'np-big': nav.ui.big === kind }" :data-view="kind">
      <canvas ref="canvas" tabindex="0" role="img" :aria-label="label" @pointerdown="down" @pointermove="move"
        @pointerup="up" @pointercancel="up" @wheel.prevent="wheel" @contextmenu.prevent @dblclick="nav.enlarge(kind)"
        @keydown="key"></canvas>
      <p v-if="refusal" class="np-view-words">{{ refusal }}</p>
    </section>`,
  data: () => ({ refusal: "", shownNumber: 0, shownCount: 0 }),
  computed: {
    label() {
      const t = this.nav.t;
      const name = t.views[this.kind];
      return this.shownCount ? `${name}, ${t.slice} ${this.shownNumber + 1} / ${this.shownCount}` : name;
    },
    native() { return NATIVE.includes(this.kind); },
  },
  created() {
    this.picture = null;
    this.ahead = null;
    this.zoom = 1;
    this.pan = [0, 0];
    this.marks = [];
    this.brushed = [];
    this.prompted = null;  // what is being drawn for an interactive segmenter
    this.touches = new Map();
    this.request = new Latest((what) => this.fetch(what), (picture, what) => this.got(picture, what), (error) => this.failed(error));
  },
  mounted() {
    this.context = this.$refs.canvas.getContext("2d");
    const nav = this.nav;
    this.stops = [
      fitted(this.$refs.canvas, () => this.resize()),
      Vue.watch(() => [nav.ui.slab, nav.doc.case.image, nav.doc.case.revision, nav.ui.depth, nav.outlineDrawn, nav.overKey], () => this.ask()),
      Vue.watch(() => [nav.promptMarks, nav.promptPending], () => this.redraw()),
      Vue.watch(() => nav.ui.cursor, () => this.follow()),
      Vue.watch(() => nav.way, () => this.redraw()),
      Vue.watch(() => [nav.over, nav.errorWords, nav.secondWords], () => this.redraw()),
      Vue.watch(() => nav.marks, () => this.redraw(), { deep: true }),
      Vue.watch(() => nav.wayKey, () => this.native || this.ask()),
      Vue.watch(() => [nav.ui.window, nav.doc.looks, nav.ui.measures, nav.ui.tool, nav.ui.outlines], () => this.redraw(), { deep: true }),
      Vue.watch(() => nav.ui.reset, () => { this.zoom = 1; this.pan = [0, 0]; this.redraw(); }),
    ];
    this.ask();
  },
  unmounted() {
    this.stops.forEach((stop) => stop());
    this.request.close();
  },
  methods: {
    ask() {
      const { nav } = this;
      if (!nav.doc.case.image) return;
      if (this.native) {
        const p = this.picture, number = p ? p.number + Math.round(onPlane(p, nav.ui.cursor)[2] / p.step_mm) : NaN;
        this.request.ask({ ...this.slice(number, nav.ui.cursor), asked: performance.now() });
      } else if (nav.way) {
        const canvas = this.$refs.canvas, args = { kind: this.kind, rev: nav.wayKey, shape: (canvas.clientWidth / (canvas.clientHeight || 1)).toFixed(3) };
        if (this.kind === "across" && nav.ui.depth !== null) args.depth = nav.ui.depth;
        if (nav.overId) args.over = nav.overId;
        this.request.ask({ path: "plane", args, asked: performance.now() });
      } else {
        this.picture = null;
        this.refusal = this.nav.t.no_way_to_show;
        this.redraw();
      }
    },
    // The linked cursor: another slice where it left this one, else only its cross.
    follow() {
      const p = this.picture;
      if (!this.native) return;
      if (p && !this.request.busy && p.count && Math.abs(onPlane(p, this.nav.ui.cursor)[2]) < Math.abs(p.step_mm) / 2) this.redraw();
      else this.ask();
    },
    slice(number, at) {
      const { case: { image, revision } } = this.nav.doc, slab = this.nav.ui.slab, over = slab ? "" : this.nav.overId;  // none in a slab: its greatest values are of no place
      return { path: "slice", args: { cut: this.kind, at: at.join(","), slab, ...(over && { over }) }, key: [image, revision, this.nav.outlineDrawn, slab, over, number].join("/") };
    },
    async fetch(what) {
      if (this.ahead && this.ahead.key === what.key) {
        try { return await this.ahead.coming; } catch { /* asked for again */ }
      }
      return unpacked(await get(what.path, what.args));
    },
    // While somebody scrolls, the slice after this one is on its way.
    fetchAhead(before) {
      const p = this.picture, by = before && before.count === p.count ? Math.sign(p.number - before.number) : 0, next = p.number + by;
      if (!by || next < 0 || next >= p.count) return;
      const what = this.slice(next, add(p.centre_mm, p.into, by * p.step_mm));
      this.ahead = { key: what.key, coming: get(what.path, what.args).then(unpacked) };
      this.ahead.coming.catch(() => {});
    },
    got(picture, what) {
      const before = this.picture;
      this.picture = picture;
      this.refusal = "";
      this.shownNumber = picture.number;
      this.shownCount = picture.count;
      this.imageKey = "";
      this.paths = picture.outlines.map(({ name, pieces }) => ({ name, path: pathOf(pieces, picture) }));
      if (!before && !this.native) this.pan = [0, 0];
      this.draw();
      if (this.native) this.fetchAhead(before);
      this.nav.timed("slice", performance.now() - what.asked);
      this.$refs.canvas.dataset.number = picture.number;
      this.$refs.canvas.dataset.way = what.args.rev || "";
      this.$refs.canvas.dataset.drawn = (Number(this.$refs.canvas.dataset.drawn) || 0) + 1;
    },
    failed(error) {
      this.refusal = error.message;
      this.picture = null;
      this.redraw();
    },
    resize() {
      this.draw();
      if (!this.native) this.ask();
    },
    redraw() {
      if (this.waiting) return;
      this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
    },
    // How deep the probe's eye looks, where that is not the tip: at the cursor of the strip, or through an ablation's middle.
    acrossAt() {
      const { ui, way } = this.nav;
      if (ui.depth !== null || !way || !way.zone) return ui.depth;
      return length(sub(way.zone.centre_mm, way.entry_mm));
    },
    // px of the canvas a mm
    scale() {
      const canvas = this.$refs.canvas, p = this.picture;
      const fit = Math.min(canvas.width / (p.width * p.pixel_mm[0]), canvas.height / (p.height * p.pixel_mm[1]));
      return fit * this.zoom;
    },
    toCanvas(point) {
      const [u, v, w] = onPlane(this.picture, point), canvas = this.$refs.canvas, s = this.scale();
      return [canvas.width / 2 + (u - this.pan[0]) * s, canvas.height / 2 + (v - this.pan[1]) * s, w];
    },
    toPoint(event, w = 0) {
      const canvas = this.$refs.canvas, box = canvas.getBoundingClientRect(), dpr = canvas.width / box.width, s = this.scale();
      const u = ((event.clientX - box.left) * dpr - canvas.width / 2) / s + this.pan[0];
      const v = ((event.clientY - box.top) * dpr - canvas.height / 2) / s + this.pan[1];
      return fromPlane(this.picture, u, v, w);
    },
    draw() {
      const canvas = this.$refs.canvas, c = this.context;
      if (!canvas) return;
      c.setTransform(1, 0, 0, 1, 0, 0);
      c.fillStyle = "#000";
      c.fillRect(0, 0, canvas.width, canvas.height);
      const p = this.picture;
      if (!p) return;
      const s = this.scale(), dpr = window.devicePixelRatio || 1;
      c.drawImage(this.ground(canvas, s, dpr), 0, 0);
      if (this.native) this.drawCross(c, canvas, dpr);
      if (this.nav.ui.layout === "pair") this.nav.pairView = { scale: s, at: this.toCanvas(this.nav.ui.cursor) };
      if (this.nav.way) this.drawNeedle(c, s, dpr);
      this.drawBrushed(c, s, dpr);
      if (this.native) drawMarks(c, this, dpr);
      this.drawMeasures(c, dpr);
      this.drawWords(c, canvas, s, dpr);
    },
    // Image and outlines: what stays while cursor, needle and measures move over it.
    ground(canvas, s, dpr) {
      const { ui, colours, doc } = this.nav, p = this.picture, over = this.laid();
      const key = `${ui.window[0]}/${ui.window[1]}/${over ? JSON.stringify(over) : ""}`;
      const of = [p, s, ...this.pan, canvas.width, canvas.height, key, ui.outlines, colours, doc.looks.hidden];
      if (this.groundOf && of.every((value, n) => value === this.groundOf[n])) return this.kept;
      this.groundOf = of;
      this.kept ||= new OffscreenCanvas(1, 1);
      if (this.kept.width !== canvas.width || this.kept.height !== canvas.height) Object.assign(this.kept, { width: canvas.width, height: canvas.height });
      const c = this.kept.getContext("2d", { alpha: false });
      if (!this.image || this.imageKey !== key) {
        this.image = over ? laidOver(p, ui.window, over, doc.fusion.drawing, this.image) : windowed(p, ui.window, this.image);
        this.imageKey = key;
      }
      const wide = p.width * p.pixel_mm[0], tall = p.height * p.pixel_mm[1];
      c.setTransform(1, 0, 0, 1, 0, 0);
      c.fillStyle = "#000";
      c.fillRect(0, 0, canvas.width, canvas.height);
      c.imageSmoothingQuality = "high";
      c.drawImage(this.image, canvas.width / 2 + (-wide / 2 - this.pan[0]) * s, canvas.height / 2 + (-tall / 2 - this.pan[1]) * s, wide * s, tall * s);
      if (ui.outlines) this.drawOutlines(c, canvas, s, dpr);
      return this.kept;
    },
    // How the second image is laid over this picture; null where it has none. A split follows the cursor.
    laid() {
      const p = this.picture, { over, ui } = this.nav;
      if (!over || over.mode === "beside" || !p.over || p.over.image !== over.image) return null;
      const { mode, alpha, window, map, cell, voxel_mm } = over;
      return { mode, alpha, window, map, cell, voxel_mm, splitAt: mode === "split" ? onPlane(p, ui.cursor)[0] : 0 };
    },
    drawOutlines(c, canvas, s, dpr) {
      const colours = this.nav.colours, hidden = this.nav.doc.looks.hidden;
      c.setTransform(s, 0, 0, s, canvas.width / 2 - this.pan[0] * s, canvas.height / 2 - this.pan[1] * s);
      c.lineWidth = (1.5 * dpr) / s;
      c.lineJoin = "bevel";
      const carried = this.nav.doc.structures.filter((one) => one.made.carried_from).map((one) => one.name);
      for (const { name, path } of this.paths) {
        if (hidden.includes(name)) continue;
        c.setLineDash(carried.includes(name) ? [(5 * dpr) / s, (4 * dpr) / s] : []);  // what was seen on another image
        c.strokeStyle = colour(colours[name] || [154, 165, 177], 0.95);
        if (name === OUTLINE) strokeDrawn(c, path, s, dpr);
        else c.stroke(path);
      }
      c.setLineDash([]);
      c.setTransform(1, 0, 0, 1, 0, 0);
    },
    drawCross(c, canvas, dpr) {
      const [x, y] = this.toCanvas(this.nav.ui.cursor), gap = 9 * dpr;
      c.strokeStyle = "rgba(143,190,255,.55)";
      c.lineWidth = dpr;
      line(c, 0, y, x - gap, y); line(c, x + gap, y, canvas.width, y);
      line(c, x, 0, x, y - gap); line(c, x, y + gap, x, canvas.height);
    },
    drawNeedle(c, s, dpr) {
      const way = this.nav.way, p = this.picture, half = Math.max(p.thick_mm, way.diameter_mm) / 2;
      const at = (point) => this.toCanvas(point);
      const hub = at(way.hub_mm), tip = at(way.tip_mm), end = at(way.swept_end_mm), entry = at(way.entry_mm), target = at(way.target_mm);
      const wide = Math.max(3 * dpr, way.diameter_mm * s);
      if (way.zone) this.drawZone(c, way.zone, s, dpr);
      for (const [name, seen] of [["entry", entry], ["target", target]]) this.$refs.canvas.dataset[name] = `${seen[0] / dpr},${seen[1] / dpr}`;
      c.lineCap = "butt";
      const shaft = (from, to, tint, share) => {
        c.setLineDash([7 * dpr, 6 * dpr]);
        stroke(c, [from, to], "rgba(0,0,0,.75)", share * wide + 2.4 * dpr);
        stroke(c, [from, to], tint, share * wide * 0.75);
        c.setLineDash([]);
        const solid = inPlane(from, to, half);
        if (!solid) return;
        stroke(c, solid, "rgba(0,0,0,.8)", share * wide + 2.4 * dpr);
        stroke(c, solid, tint, share * wide);
      };
      if (Math.hypot(hub[0] - end[0], hub[1] - end[1]) < 2 * wide) {
        disc(c, tip, Math.max(2.5 * dpr, wide / 2) + 1.5 * dpr, "#000");
        disc(c, tip, Math.max(2.5 * dpr, wide / 2), "#F4F8FF");
      } else {
        shaft(hub, tip, "#F4F8FF", 1);
        shaft(tip, end, "#ffbeec", 0.6);
      }
      for (const near of way.nearest || []) if (!way.zone || near.verdict !== "PASS") this.drawNear(c, near, way, s, dpr, half);
      ring(c, target, 5.5 * dpr, "#E66BD3", 2 * dpr, Math.abs(target[2]) > half + 1);
      ring(c, entry, 6.5 * dpr, "#8FBEFF", 2 * dpr, Math.abs(entry[2]) > half + 1);
    },
    // The derated zone solid, which has to cover; the whole one dashed, which has to spare.
    drawZone(c, zone, s, dpr) {
      const { width, height } = this.$refs.canvas, [x0, y0] = this.pan;
      for (const [half, dash] of [[zone.whole_mm, [7 * dpr, 5 * dpr]], [zone.derated_mm, []]]) {
        const cut = ellipseOnPlane(this.picture, zone, half).map(([u, v]) => [width / 2 + (u - x0) * s, height / 2 + (v - y0) * s]);
        if (!cut.length) continue;
        c.setLineDash(dash);
        stroke(c, cut, "rgba(0,0,0,.6)", 3.4 * dpr);
        stroke(c, cut, ZONE, 2 * dpr);
        c.setLineDash([]);
      }
    },
    drawNear(c, near, way, s, dpr, half) {
      if (near.nearest_mm.length !== 3) return;
      const axis = this.toCanvas(near.needle_mm), place = this.toCanvas(near.nearest_mm), reach = Math.max(half, 2);
      if (Math.abs(axis[2]) > reach || near.low_mm === null) return;
      const tint = VERDICTS[near.verdict];
      ring(c, axis, Math.max(0, near.low_mm + way.diameter_mm / 2) * s, tint, 1.6 * dpr, false);
      if (Math.abs(place[2]) > reach) return;
      stroke(c, [axis, place], tint, 1.6 * dpr);
      disc(c, place, 3 * dpr, tint);
    },
    drawBrushed(c, s, dpr) {
      for (const point of this.nav.marks) {
        const seen = this.toCanvas(point), near = Math.abs(seen[2]) <= Math.max(this.picture.thick_mm / 2, 0.6);
        ring(c, seen, 5 * dpr, "#ffe08a", 1.6 * dpr, !near);
        if (near) disc(c, seen, 1.6 * dpr, "#ffe08a");
      }
      for (const point of this.brushed) ring(c, this.toCanvas(point), this.nav.edit.radius * s, "#ffe08a", 1.2 * dpr, false);
    },
    drawMeasures(c, dpr) {
      c.font = `${13 * dpr}px var(--np-font, sans-serif)`;
      for (const measure of this.nav.ui.measures.filter((one) => one.view === this.kind)) {
        const seen = measure.points.map((point) => this.toCanvas(point));
        if (Math.abs(seen[0][2]) > Math.max(this.picture.thick_mm, 1)) continue;
        stroke(c, seen, "#ffe08a", 1.6 * dpr);
        seen.forEach((one) => disc(c, one, 3 * dpr, "#ffe08a"));
        plate(c, measure.words, seen[seen.length - 1][0] + 8 * dpr, seen[seen.length - 1][1], dpr, "#ffe08a");
      }
    },
    drawWords(c, canvas, s, dpr) {
      const p = this.picture, t = this.nav.t, [left, right, top, bottom] = p.letters, ui = this.nav.ui;
      const size = 12 * dpr * ui.text;
      c.font = `700 ${size * 1.15}px sans-serif`;
      const letters = [[left, 10 * dpr, canvas.height / 2, "left"], [right, canvas.width - 10 * dpr, canvas.height / 2, "right"],
        [top, canvas.width / 2, 12 * dpr, "center"], [bottom, canvas.width / 2, canvas.height - 12 * dpr, "center"]];
      for (const [words, x, y, align] of letters) outlined(c, words, x, y, align, "#E8EDF2");
      c.font = `${size}px sans-serif`;
      const lines = [t.views[this.kind] + (p.count ? `  ${p.number + 1} / ${p.count}` : this.kind === "across" && this.acrossAt() !== null ? `  ${Math.round(this.acrossAt())} mm` : "")];
      if (ui.slab > 0 && p.count) lines.push(`MIP ${p.thick_mm.toFixed(1)} mm`);
      lines.forEach((words, n) => outlined(c, words, 10 * dpr, (14 + 17 * n * ui.text) * dpr, "left", "#E8EDF2"));
      const said = saidOver(p, this.nav);
      said.forEach(([words, tint], n) => outlined(c, shortened(c, words, canvas.width - 20 * dpr), 10 * dpr, (14 + 17 * (lines.length + n) * ui.text) * dpr, "left", tint));
      if (this.native) {
        const values = valuesAt(p, this.nav, valueAt(p, ...onPlane(p, ui.cursor)));
        values.forEach((words, n) => outlined(c, words, canvas.width - 10 * dpr, (14 + 17 * n * ui.text) * dpr, "right", "#8FBEFF"));
        this.$refs.canvas.dataset.values = values.join("; ");
      }
      this.$refs.canvas.dataset.said = said.map(([words]) => words).join("; ");
      const bar = [100, 50, 20, 10, 5].find((mm) => mm * s < canvas.width * 0.32) || 2;
      const y = canvas.height - 12 * dpr;
      stroke(c, [[10 * dpr, y], [10 * dpr + bar * s, y]], "#000", 5 * dpr);
      stroke(c, [[10 * dpr, y], [10 * dpr + bar * s, y]], "#E8EDF2", 2 * dpr);
      outlined(c, `${bar} mm`, 10 * dpr, y - 11 * dpr, "left", "#E8EDF2");
      outlined(c, `C ${Number(ui.window[0].toFixed(2))}  W ${Number(ui.window[1].toFixed(2))}`, canvas.width - 10 * dpr, y, "right", "#9AA5B1");
    },

    down(event) {
      if (!this.picture) return;
      this.$refs.canvas.focus();
      this.$refs.canvas.setPointerCapture(event.pointerId);
      this.touches.set(event.pointerId, event);
      if (this.touches.size === 2) { this.mode = "pinch"; this.brushed = []; this.prompted = null; return; }
      const ui = this.nav.ui, point = this.toPoint(event);
      this.start = { x: event.clientX, y: event.clientY, pan: this.pan, window: ui.window, moved: false };
      if (event.button === 2) this.mode = "window";
      else if (event.button === 1 || event.shiftKey) this.mode = "pan";
      else if (ui.tool === "distance" || ui.tool === "angle") { this.mode = ""; this.measure(point); }
      else if (ui.tool === "target") { this.mode = ""; this.nav.aimAt(point); }
      else if (ui.tool === "entry") { this.mode = ""; this.nav.enterAt(point); }
      else if (isPrompt(ui.tool)) { this.prompted = Stroke.begun(this, event); this.mode = this.prompted ? "prompt" : ""; this.redraw(); }
      else if (this.nav.picks[ui.tool]) { this.mode = ""; this.nav.picks[ui.tool](point); }
      else if (EDITS.includes(ui.tool)) { this.mode = "stroke"; this.brushed = [point]; this.redraw(); }
      else {
        this.mode = this.handleAt(event) || (event.pointerType === "touch" && this.native ? "scroll" : "cursor");
        if (this.mode === "cursor" && this.native) this.nav.setCursor(point);
        else if (this.mode === "scroll") this.scrolled = 0;
        else if (this.mode !== "cursor") this.nav.grab(this.mode);
      }
    },
    handleAt(event) {
      const way = this.nav.way;
      if (!way) return "";
      const canvas = this.$refs.canvas, box = canvas.getBoundingClientRect(), dpr = canvas.width / box.width;
      const x = (event.clientX - box.left) * dpr, y = (event.clientY - box.top) * dpr;
      for (const [name, point] of [["target", way.target_mm], ["entry", way.entry_mm]]) {
        const seen = this.toCanvas(point);
        if (Math.hypot(seen[0] - x, seen[1] - y) < REACH_PX * dpr && Math.abs(seen[2]) < 20) { this.depth = seen[2]; return name; }
      }
      return "";
    },
    move(event) {
      if (!this.picture) return;
      if (!this.mode) { this.$refs.canvas.style.cursor = this.nav.ui.tool !== "navigate" ? "crosshair" : this.handleAt(event) ? "grab" : "default"; return; }
      if (this.mode === "pinch") { this.pinch(event); return; }
      const dx = event.clientX - this.start.x, dy = event.clientY - this.start.y, dpr = window.devicePixelRatio || 1;
      this.start.moved ||= Math.hypot(dx, dy) > 2;
      if (this.mode === "window") {
        const [level, width] = this.start.window, by = this.picture.step < 1 ? width / 400 : 1, least = by < 1 ? this.picture.step : 1;
        this.nav.ui.window = [level + dy * 2 * by, Math.max(least, width + dx * 4 * by)].map((value) => Math.round(value / least) * least);
      } else if (this.mode === "pan") {
        const s = this.scale();
        this.pan = [this.start.pan[0] - (dx * dpr) / s, this.start.pan[1] - (dy * dpr) / s];
        this.redraw();
      } else if (this.mode === "scroll") {
        const steps = Math.trunc(dy / SCROLL_PX) - this.scrolled;
        if (steps) { this.scrolled += steps; this.step(steps); }
      } else if (this.mode === "stroke") {
        const point = this.toPoint(event), last = this.brushed[this.brushed.length - 1];
        if (this.nav.ui.tool !== "threshold" && length(sub(point, last)) >= 1) { this.brushed.push(point); this.redraw(); }
      } else if (this.mode === "prompt") {
        this.prompted.goOn(event);
      } else if (this.mode === "cursor") {
        if (this.native) this.nav.setCursor(this.toPoint(event));
      } else {
        this.nav.dragTo(this.mode, this.toPoint(event, this.depth));
      }
    },
    up(event) {
      if (this.mode === "prompt") {
        if (event.type === "pointerup") this.prompted.send();
        this.prompted = null;
        this.redraw();
      }
      if (this.mode === "stroke") {
        if (event.type === "pointerup") this.nav.editAlong(this.brushed);
        this.brushed = [];
        this.redraw();
      }
      if (["entry", "target"].includes(this.mode)) this.nav.release(this.mode, this.start.moved);
      if (this.mode === "scroll" && !this.start.moved && event.type === "pointerup") this.nav.setCursor(this.toPoint(event));
      this.mode = "";
      this.touches.delete(event.pointerId);
    },
    // Two fingers: zoom about their middle, and pan with it.
    pinch(event) {
      const before = [...this.touches.values()];
      this.touches.set(event.pointerId, event);
      const after = [...this.touches.values()];
      if (after.length !== 2) return;
      const spread = (pair) => Math.hypot(pair[0].clientX - pair[1].clientX, pair[0].clientY - pair[1].clientY) || 1;
      const middle = (pair) => ({ clientX: (pair[0].clientX + pair[1].clientX) / 2, clientY: (pair[0].clientY + pair[1].clientY) / 2 });
      const held = this.toPoint(middle(before));
      this.zoom = Math.min(Math.max((this.zoom * spread(after)) / spread(before), 0.5), 20);
      const [u, v] = onPlane(this.picture, add(this.picture.centre_mm, sub(held, this.toPoint(middle(after)))));
      this.pan = [this.pan[0] + u, this.pan[1] + v];
      this.redraw();
    },
    wheel(event) {
      if (!this.picture) return;
      if (event.ctrlKey || !this.native) this.zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15, event);
      else this.step(event.deltaY > 0 ? 1 : -1);
    },
    zoomBy(factor, event) {
      const before = event ? this.toPoint(event) : null;
      this.zoom = Math.min(Math.max(this.zoom * factor, 0.5), 20);
      if (before) {
        const after = this.toPoint(event), by = onPlane(this.picture, add(this.picture.centre_mm, sub(before, after)));
        this.pan = [this.pan[0] + by[0], this.pan[1] + by[1]];
      }
      this.redraw();
    },
    step(count) {
      const p = this.picture;
      if (!p || !this.native) return;
      const next = Math.min(Math.max(p.number + count * Math.sign(p.step_mm), 0), p.count - 1);
      if (next === p.number) return;
      const off = onPlane(p, this.nav.ui.cursor)[2];
      this.nav.setCursor(add(this.nav.ui.cursor, p.into, (next - p.number) * p.step_mm - off));
    },
    key(event) {
      const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 };
      if (event.key in steps && !event.ctrlKey) { this.step(steps[event.key]); event.preventDefault(); event.stopPropagation(); }
      else if (event.key === "+" || event.key === "=") this.zoomBy(1.2);
      else if (event.key === "-") this.zoomBy(1 / 1.2);
      else if (event.key === "Enter") this.nav.enlarge(this.kind);
    },
    measure(point) {
      const ui = this.nav.ui, need = ui.tool === "angle" ? 3 : 2;
      this.marks = [...this.marks, point];
      if (this.marks.length < need) return;
      const [a, b, d] = this.marks;
      this.marks = [];
      let words = `${length(sub(b, a)).toFixed(1)} mm`;
      if (need === 3) {
        const p = sub(a, b), q = sub(d, b);
        const cosine = (p[0] * q[0] + p[1] * q[1] + p[2] * q[2]) / (length(p) * length(q) || 1);
        words = `${((Math.acos(Math.min(1, Math.max(-1, cosine))) * 180) / Math.PI).toFixed(1)}°`;
      }
      ui.measures = [...ui.measures, { view: this.kind, points: need === 3 ? [a, b, d] : [a, b], words }];
    },
  },
};

function line(c, x0, y0, x1, y1) { c.beginPath(); c.moveTo(x0, y0); c.lineTo(x1, y1); c.stroke(); }

function stroke(c, points, tint, wide) {
  c.strokeStyle = tint;
  c.lineWidth = wide;
  c.beginPath();
  points.forEach((point, n) => (n ? c.lineTo(point[0], point[1]) : c.moveTo(point[0], point[1])));
  c.stroke();
}

function disc(c, [x, y], radius, tint) { c.fillStyle = tint; c.beginPath(); c.arc(x, y, radius, 0, 2 * Math.PI); c.fill(); }

function ring(c, [x, y], radius, tint, wide, dashed) {
  c.setLineDash(dashed ? [3 * wide, 2 * wide] : []);
  for (const [t, w] of [["rgba(0,0,0,.7)", 2 * wide], [tint, wide]]) {
    c.strokeStyle = t; c.lineWidth = w; c.beginPath(); c.arc(x, y, radius, 0, 2 * Math.PI); c.stroke();
  }
  c.setLineDash([]);
}

function inPlane(from, to, half) {
  const w0 = from[2], w1 = to[2];
  let t0 = 0, t1 = 1;
  if (Math.abs(w1 - w0) < 1e-9) { if (Math.abs(w0) > half) return null; }
  else {
    const a = (-half - w0) / (w1 - w0), b = (half - w0) / (w1 - w0);
    t0 = Math.max(0, Math.min(a, b)); t1 = Math.min(1, Math.max(a, b));
    if (t0 >= t1) return null;
  }
  const at = (t) => [from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])];
  return [at(t0), at(t1)];
}
