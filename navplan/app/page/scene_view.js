// The 3-D scene: drawn by the server, the camera is held here. Words are drawn over it here, sharp at any size.

import { Latest, ask, get } from "./api.js";
import { VERDICTS, fitted, outlined, plate } from "./drawing.js";
import { cameraAxes, moved, nearer, project, turned } from "./geometry.js";
import { drawSecond } from "./scene_second.js";
import { tracked } from "./tracked_needle.js";

const TAB = Math.random().toString(36).slice(2);
const QUIET_MS = 250, HOVER_MS = 180, MARK_MS = 350;
const FUSED_MS = 300;  // planes follow a cursor that stands still
const PAINT_MS = 120;  // a dragged target's next answer waits at most so long for the skin map of the last
const FOLLOW_MS = 180;  // a needle under the hand: its margins come oftener than the scene

const after = (ms) => new Promise((done) => setTimeout(done, ms));

export default {
  inject: ["nav"],
  template: `
    <section class="np-view" :class="{ 'np-big': nav.ui.big === 'scene' }" data-view="scene">
      <canvas ref="canvas" class="np-scene" tabindex="0" role="img" :aria-label="nav.t.views.scene" @pointerdown="down" @pointermove="move"
        @pointerup="up" @pointercancel="up" @pointerleave="leave" @wheel.prevent="wheel" @contextmenu.prevent
        @dblclick="nav.enlarge('scene')" @keydown="key"></canvas>
      <p v-if="told" class="np-view-words">{{ told }}</p>
      <p v-if="hover" class="np-hover" :style="{ left: hover.x + 'px', top: hover.y + 'px' }">{{ hover.words }}</p>
    </section>`,
  data: () => ({ told: "", hover: null }),
  created() {
    this.drawnFrom = null;
    this.picture = null;  // ImageBitmap; closed when the next one takes its place: an <img> of each is kept by the browser
    this.camera = this.nav.keptCamera;  // another layout shows it from where it was seen
    this.touches = new Map();
    this.followed = 0;
    this.request = new Latest((what) => this.fetch(what), (made, what) => this.got(made, what), (error) => this.failed(error), 
      { depth: 2, unheard: (made) => { if (made) made.picture.close(); } });  // one drawn, one on its way
    this.hovering = new Latest((what) => ask("pick", what.args), (found, what) => this.picked(found, what), () => {});
  },
  mounted() {
    this.context = this.$refs.canvas.getContext("2d");
    const nav = this.nav;
    this.stops = [
      fitted(this.$refs.canvas, () => { this.paint(); this.draw(false); }),
      Vue.watch(() => nav.sceneKey, () => { this.told = nav.t.scene_making; this.draw(false); }),
      Vue.watch(() => nav.ui.home, () => { this.camera = null; this.draw(false); }),
      Vue.watch(() => nav.way, () => this.paint()),
      Vue.watch(() => nav.guiding && nav.guide.seen.now, () => this.paint()),
      Vue.watch(() => nav.ui.drawn, () => this.draw(false)),
      Vue.watch(() => nav.ui.cursor, (point) => this.mark(point)),
      Vue.watch(() => JSON.stringify([nav.overScene, nav.doc.case.image]), () => this.fuse()),
      Vue.watch(() => nav.live, () => this.follow()),
    ];
    if (nav.overScene) this.fuse();
    nav.lookAlong = () => this.lookAlong();
    this.told = nav.t.scene_making;
  },
  unmounted() {
    this.nav.keptCamera = this.camera;
    this.show(null);
    this.stops.forEach((stop) => stop());
    this.request.close();  // else what it still waits for would fail without its canvas, and be asked for again for ever
    this.hovering.close();
    for (const timer of [this.timer, this.markTimer, this.hoverTimer, this.fuseTimer]) clearTimeout(timer);
  },
  methods: {
    size() {
      const canvas = this.$refs.canvas;
      return [Math.max(64, canvas.clientWidth), Math.max(64, canvas.clientHeight)];
    },
    draw(moving) {
      clearTimeout(this.timer);
      if (moving) this.still();
      this.request.ask({ moving, asked: performance.now(), key: this.nav.sceneKey });
    },
    // A way under the hand. A dragged target has the skin painted anew with each answer, before the next is asked for: at
    // the same time both would be late.
    follow() {
      const aimed = this.nav.drag && this.nav.drag.mode === "target";
      if (!aimed && performance.now() - this.followed <= FOLLOW_MS) { this.still(); return; }
      this.followed = performance.now();
      this.draw(true);
      if (aimed) this.nav.painted = Promise.race([new Promise((done) => { this.painted = done; }), after(PAINT_MS)]);
    },
    // A still once nothing moves; none under a hand that holds the needle.
    still() { clearTimeout(this.timer); this.timer = setTimeout(() => (this.nav.drag ? this.still() : this.draw(false)), QUIET_MS); },
    async fetch({ moving }) {
      const [width, height] = this.size();
      const args = { width, height, moving: moving ? 1 : 0, tab: TAB };
      if (this.camera) args.camera = JSON.stringify(this.camera);
      const response = await get("scene", args);
      if (response.status === 204) return null;
      const camera = JSON.parse(response.headers.get("X-Camera"));
      const picture = await createImageBitmap(await response.blob());
      return { picture, camera, faded: JSON.parse(response.headers.get("X-Told") || "null"), second: JSON.parse(response.headers.get("X-Second") || "null") };
    },
    got(made, { moving, asked, key }) {
      if (!made) return;
      const { picture, camera, faded, second } = made, canvas = this.$refs.canvas;
      if (!canvas) { picture.close(); return; }
      this.show(picture);
      if (!this.camera) this.camera = camera;
      this.drawnFrom = camera;  // the words stand where this picture has them, wherever the camera is by now
      this.faded = faded || this.faded;
      this.second = second;
      if (key === this.nav.sceneKey) this.told = "";
      this.paint();
      this.nav.timed(moving ? "scene moving" : "scene still", performance.now() - asked);
      if (this.painted && asked >= this.followed) this.painted();
      canvas.dataset.drawn = ++this.nav.scenesDrawn;
      canvas.dataset.quality = moving ? "moving" : "still";
    },
    show(picture) {
      if (this.picture) this.picture.close();
      this.picture = picture;
    },
    failed(error) {
      this.told = error.message;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.draw(false), 2000);
    },
    // The picture, and the words over it.
    paint() {
      const canvas = this.$refs.canvas, c = this.context, nav = this.nav;
      if (!canvas || !this.picture) return;
      c.setTransform(1, 0, 0, 1, 0, 0);
      c.drawImage(this.picture, 0, 0, canvas.width, canvas.height);
      const dpr = window.devicePixelRatio || 1;
      c.scale(dpr, dpr);
      const [width, height] = this.size(), text = nav.ui.text;
      c.font = `600 ${13 * text}px sans-serif`;
      if (nav.way) this.labels(c, width, height, text);
      if (this.second) this.saidOfSecond(c, width, height, text);
      if (nav.guiding) tracked(c, this.drawnFrom, nav, width, height);
      this.triad(c, width, height, text);
      c.font = `${12 * text}px sans-serif`;
      const lines = [nav.t.for_research, ...(this.faded && this.faded.length ? [`${this.second ? nav.t.faded_planes : nav.t.faded}: ${this.faded.slice(0, 4).join(", ")}${this.faded.length > 4 ? " …" : ""}`] : [])];
      lines.forEach((words, n) => outlined(c, words, 10, height - 12 - 17 * text * n, "left", "#9AA5B1"));
    },
    labels(c, width, height, text) {
      const way = this.nav.way, t = this.nav.t;
      const wanted = [
        { at: way.target_mm, words: this.nav.targetWords, tint: "#E66BD3" },
        { at: way.entry_mm, words: `${t.entry}  ${Math.round(way.depth_mm)} mm`, tint: "#F4F8FF" },
        ...(this.nav.guiding ? [] : way.nearest || []).filter((one) => one.nearest_mm.length === 3).map((one) => ({
          at: one.nearest_mm, words: `${one.spoken}  ${one.interval}`, tint: VERDICTS[one.verdict],
        })),
      ];
      const taken = [];
      for (const one of wanted) {
        const seen = project(this.drawnFrom, one.at, width, height);
        if (!seen || seen[0] < 0 || seen[1] < 0 || seen[0] > width || seen[1] > height) continue;
        const wide = c.measureText(one.words).width + 14;
        const right = seen[0] < width / 2 ? false : true;
        let x = right ? Math.min(seen[0] + 60, width - wide - 8) : Math.max(seen[0] - 60 - wide, 8);
        let y = Math.min(Math.max(seen[1] - 34, 46), height - 70);
        while (taken.some((box) => Math.abs(box[1] - y) < 24 * text && x < box[0] + box[2] && box[0] < x + wide)) y += 25 * text;
        taken.push([x, y, wide]);
        c.strokeStyle = one.tint; c.lineWidth = 1.2;
        c.beginPath(); c.moveTo(seen[0], seen[1]); c.lineTo(right ? x : x + wide, y); c.stroke();
        c.fillStyle = one.tint; c.beginPath(); c.arc(seen[0], seen[1], 3, 0, 7); c.fill();
        plate(c, one.words, x + 6, y, 1, one.tint);
      }
    },
    triad(c, width, height, text) {
      const { right, up, back } = cameraAxes(this.drawnFrom), x = width - 54, y = height - 54;
      const axes = [[[1, 0, 0], "L", "R"], [[0, 1, 0], "P", "A"], [[0, 0, 1], "S", "I"]];
      const ends = axes.flatMap(([axis, plus, minus]) => [[axis, plus], [axis.map((v) => -v), minus]])
        .map(([axis, letter]) => {
          const at = (v) => axis[0] * v[0] + axis[1] * v[1] + axis[2] * v[2];
          return { letter, x: at(right), y: -at(up), z: at(back) };
        }).sort((a, b) => a.z - b.z);
      c.font = `700 ${13 * text}px sans-serif`;
      for (const end of ends) {
        c.strokeStyle = end.z > 0 ? "#E8EDF2" : "#66707c"; c.lineWidth = 1.5;
        c.beginPath(); c.moveTo(x, y); c.lineTo(x + 27 * end.x, y + 27 * end.y); c.stroke();
        outlined(c, end.letter, x + 38 * end.x, y + 38 * end.y, "center", end.z > -0.2 ? "#E8EDF2" : "#8b96a3");
      }
    },
    // A second image in planes, or none, once the cursor stands still; the words of it come with the picture.
    fuse() {
      clearTimeout(this.fuseTimer);
      this.fuseTimer = setTimeout(async () => {
        try { await ask("fused", this.nav.overScene || {}); this.draw(false); } catch (error) { this.nav.sayOnce(error.message); }
      }, FUSED_MS);
    },
    saidOfSecond(c, width, height, text) {
      drawSecond(c, this.second, { width, height, text, at: (point) => project(this.drawnFrom, point, width, height) });
      this.$refs.canvas.dataset.second = this.second.lines.map(([words]) => words).concat(this.second.rows.map(([words]) => words)).join("; ");
    },
    // The linked cursor, once it stands still and is looked for in slices.
    mark(point) {
      clearTimeout(this.markTimer);
      this.markTimer = setTimeout(async () => {
        const marked = this.nav.ui.layout === "slices";
        if (!marked && !this.marked) return;
        this.marked = marked;
        try { await ask("cursor", { point: marked ? point : null }); this.draw(false); } catch { /* the scene says so itself */ }
      }, MARK_MS);
    },
    lookAlong() {
      const way = this.nav.way;
      if (!way) return;
      const out = [0, 1, 2].map((n) => way.entry_mm[n] - way.target_mm[n]);
      const far = Math.hypot(...out), along = out.map((v) => v / far);
      const up = Math.abs(along[2]) > 0.8 ? [0, -1, 0] : [0, 0, 1];
      this.camera = { position: way.target_mm.map((v, n) => v + along[n] * 420), focal: [...way.target_mm], up, angle: 26 };
      this.draw(false);
    },
    down(event) {
      this.$refs.canvas.focus();
      if (!this.camera) return;
      this.$refs.canvas.setPointerCapture(event.pointerId);
      this.touches.set(event.pointerId, event);
      this.start = { x: event.clientX, y: event.clientY, camera: this.camera, button: event.shiftKey ? 1 : event.button, moved: false };
      this.hover = null;
    },
    move(event) {
      if (!this.camera) return;
      if (!this.start) { this.hoverAt(event); return; }
      if (this.touches.size === 2) { this.pinch(event); return; }
      const dx = event.clientX - this.start.x, dy = event.clientY - this.start.y, [, height] = this.size();
      if (!this.start.moved && Math.hypot(dx, dy) < 3) return;
      this.start.moved = true;
      this.camera = this.start.button === 0 ? turned(this.start.camera, dx * 0.008, dy * 0.008)
        : this.start.button === 1 ? moved(this.start.camera, dx, dy, height) : nearer(this.start.camera, Math.exp(dy * 0.006));
      this.draw(true);
    },
    up(event) {
      if (this.start && !this.start.moved && event.type === "pointerup") { if (this.start.button === 2) this.askWhy(event); else this.click(event); }
      this.touches.delete(event.pointerId);
      if (this.start && this.start.moved && !this.touches.size) this.draw(false);  // let go: it is to be looked at
      this.start = null;
    },
    pinch(event) {
      const spread = () => { const [a, b] = [...this.touches.values()]; return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1; };
      const before = spread();
      this.touches.set(event.pointerId, event);
      this.camera = nearer(this.camera, before / spread());
      this.start.moved = true;
      this.draw(true);
    },
    leave() { this.hover = null; clearTimeout(this.hoverTimer); },
    wheel(event) {
      if (!this.camera) return;
      this.camera = nearer(this.camera, event.deltaY > 0 ? 1.1 : 1 / 1.1);
      this.draw(true);
    },
    key(event) {
      const by = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] }[event.key];
      if (!this.camera) return;
      if (by) { this.camera = turned(this.camera, ...by); event.preventDefault(); event.stopPropagation(); }
      else if (event.key === "+" || event.key === "=") this.camera = nearer(this.camera, 1 / 1.15);
      else if (event.key === "-") this.camera = nearer(this.camera, 1.15);
      else if (event.key === "Enter") { this.nav.enlarge("scene"); return; }
      else return;
      this.draw(true);
    },
    at(event) {
      const box = this.$refs.canvas.getBoundingClientRect(), [width, height] = this.size();
      return { camera: this.camera, width, height, x: event.clientX - box.left, y: event.clientY - box.top };
    },
    hoverAt(event) {
      clearTimeout(this.hoverTimer);
      this.hover = null;
      const args = this.at(event);
      this.hoverTimer = setTimeout(() => this.hovering.ask({ args }), HOVER_MS);
    },
    picked(found, { args }) {
      if (!found.words || this.start) return;
      this.hover = { x: Math.min(args.x + 14, this.size()[0] - 230), y: args.y + 14, words: found.words };
    },
    async askWhy(event) {
      if (!this.nav.doc.way) return;
      try {
        const found = await ask("pick", { ...this.at(event), skin: 1 });
        if (found.point) this.nav.whyNot(found.point);
      } catch (error) { this.nav.say(error.message); }
    },
    async click(event) {
      try {
        const entry = this.nav.ui.tool === "entry";
        const found = await ask("pick", { ...this.at(event), skin: entry ? 1 : 0 });
        if (!found.point) return;
        if (entry) this.nav.enterAt(found.point);
        else if (this.nav.ui.tool === "target") this.nav.aimAt(found.point);
        else { this.nav.setCursor(found.point); if (found.name === "skin" && this.nav.doc.plan) this.nav.whyNot(found.point); }
      } catch (error) { this.nav.say(error.message); }
    },
  },
};
