// One real picture with the CT's edges, outlines and way over it, and the CT from there below: dragged, or marked.

import { Latest, get, unpacked } from "./api.js";
import { fitted, inGrey, outlined } from "./drawing.js";

const EDGE_RGB = [255, 228, 92], REST_MS = 250;
const TINTS = { target: "#E66BD3", path: "#E66BD3", error: "#F4F8FF" };

export default {
  inject: ["nav"],
  props: { number: Number, shot: Object, shift: Array, turn: Array, found: Boolean, version: Number, marking: Boolean, mark: Array },
  emits: ["by", "mark", "picture", "remove", "refused"],
  data: () => ({ large: "", words: "" }),
  template: `
    <figure class="np-shot" :data-shot="number">
      <figcaption><b>{{ shot.words }}</b> <label v-if="shot.frames > 1">{{ nav.filled(r.picture, shot) }} <input type="number" min="1" :max="shot.frames" :value="shot.picture" @change="$emit('picture', Number($event.target.value))"></label>
        <button type="button" @click="$emit('remove')" :data-test="'remove-' + number">{{ r.remove }}</button></figcaption>
      <canvas ref="real" tabindex="0" role="img" :aria-label="r.real + ': ' + shot.words" :class="{ 'np-large': large === 'real', 'np-marking': marking }" @dblclick="enlarge('real')" @keydown="key"
        @pointerdown="down" @pointermove="drag" @pointerup="up" @pointercancel="up"></canvas>
      <p>{{ r.ct }}, {{ words }}</p>
      <canvas ref="ct" tabindex="0" role="img" :aria-label="r.ct + ': ' + shot.words" :class="{ 'np-large': large === 'ct' }" @dblclick="enlarge('ct')" @keydown="key"></canvas>
    </figure>`,
  computed: {
    r() { return this.nav.t.real; },
    asked() { return { number: this.number, shift: this.shift.join(","), turn: this.turn.join(","), found: this.found ? 1 : 0, version: this.version }; },
  },
  created() {
    this.request = new Latest(async (what) => unpacked(await get("shots/picture", what), Uint8Array), (one) => this.got(one), (error) => { this.words = error.message; this.$emit("refused", error.message); });
  },
  mounted() {
    this.stops = [fitted(this.$refs.real, () => this.draw()), fitted(this.$refs.ct, () => this.draw()), Vue.watch(() => this.asked, () => this.ask()), Vue.watch(() => [this.mark, this.large], () => this.draw())];
    this.words = this.r.coming;
    this.ask();
  },
  unmounted() { this.stops.forEach((stop) => stop()); this.request.close(); clearTimeout(this.timer); },
  methods: {
    ask() {
      clearTimeout(this.timer);
      if (this.at) this.request.ask({ ...this.asked, moving: 1 });
      this.timer = setTimeout(() => this.request.ask(this.asked), this.at ? REST_MS : 0);
    },
    got(one) {
      const size = one.rows * one.width, layer = (n) => ({ width: one.width, height: one.rows, values: one.values.subarray(n * size, (n + 1) * size), nothing: -1 });
      if (!one.moving || !this.grey) { this.grey = inGrey(layer(0), 0, 1); this.real = { width: one.width, height: one.rows }; }
      this.ct = inGrey(layer(1), 0, 1, this.ct);
      this.edges = tinted(layer(2));
      this.picture = { ...one, values: null };
      this.words = one.found ? this.r.found : this.r.at_start;
      this.draw();
      Object.assign(this.$refs.real.dataset, { found: one.found ? 1 : 0, moving: one.moving ? 1 : 0, drawn: Number(this.$refs.real.dataset.drawn || 0) + 1 });
    },
    // Where the picture lies in its canvas: scale and left upper corner.
    place(canvas) {
      const { width, height } = this.real, s = Math.min(canvas.width / width, canvas.height / height);
      return { s, x: (canvas.width - s * width) / 2, y: (canvas.height - s * height) / 2, wide: s * width, tall: s * height };
    },
    draw() {
      if (!this.picture || !this.$refs.real) return;
      for (const name of ["real", "ct"]) {
        const canvas = this.$refs[name], c = canvas.getContext("2d"), at = this.place(canvas), dpr = window.devicePixelRatio || 1;
        c.fillStyle = "#000";
        c.fillRect(0, 0, canvas.width, canvas.height);
        c.imageSmoothingQuality = "high";
        c.drawImage(name === "real" ? this.grey : this.ct, at.x, at.y, at.wide, at.tall);
        if (name === "real") c.drawImage(this.edges, at.x, at.y, at.wide, at.tall);
        c.save();
        c.beginPath(); c.rect(at.x, at.y, at.wide, at.tall); c.clip();
        const s = at.wide / this.picture.width;
        for (const mark of this.picture.marks) {
          const tint = mark.tint || TINTS[mark.role];
          c.setLineDash(mark.role === "path" ? [5 * dpr, 4 * dpr] : []);
          for (const [stroke, wide] of [...(mark.role === "error" ? [] : [["rgba(0,0,0,.8)", 3]]), [tint, mark.role === "error" ? 1 : 1.4]]) {
            c.strokeStyle = stroke; c.lineWidth = wide * dpr; c.beginPath();
            mark.points.forEach(([x, y], n) => { const p = [at.x + (x + 0.5) * s, at.y + (y + 0.5) * s]; if (n) c.lineTo(...p); else c.moveTo(...p); });
            c.stroke();
          }
        }
        c.restore();
        const line = 13 * dpr * this.nav.ui.text, [left, right, top, bottom] = this.picture.letters;
        c.font = `700 ${line}px sans-serif`;
        outlined(c, left, at.x + 8 * dpr, at.y + at.tall / 2, "left", "#E8EDF2");
        outlined(c, right, at.x + at.wide - 8 * dpr, at.y + at.tall / 2, "right", "#E8EDF2");
        outlined(c, top, at.x + at.wide / 2, at.y + 10 * dpr, "center", "#E8EDF2");
        outlined(c, bottom, at.x + at.wide / 2, at.y + at.tall - 10 * dpr, "center", "#E8EDF2");
        c.font = `600 ${0.85 * line}px sans-serif`;
        const names = new Map(this.picture.marks.filter((one) => one.tint).map((one) => [one.name.replaceAll("_", " "), one.tint]));
        if (name === "real") names.set(this.r.edges, `rgb(${EDGE_RGB})`);
        let row = 0;
        for (const [words, tint] of names) outlined(c, words, at.x + at.wide - 8 * dpr, at.y + 12 * dpr + 1.15 * line * row++, "right", tint);
        if (name === "real" && this.mark) this.ring(c, at, dpr);
      }
    },
    ring(c, at, dpr) {
      const x = at.x + (this.mark[1] + 0.5) * at.s, y = at.y + (this.mark[0] + 0.5) * at.s;
      for (const [stroke, wide] of [["rgba(0,0,0,.8)", 3.4], ["#F4F8FF", 1.5]]) {
        c.strokeStyle = stroke; c.lineWidth = wide * dpr; c.setLineDash([]); c.beginPath(); c.arc(x, y, 6 * dpr, 0, 2 * Math.PI); c.stroke();
      }
    },
    enlarge(name) { this.large = this.large === name ? "" : name; },
    // Row and column of a place on the page, in pixels of the real picture.
    pixel(event) {
      const canvas = this.$refs.real, box = canvas.getBoundingClientRect(), at = this.place(canvas), k = canvas.width / box.width;
      return [((event.clientY - box.top) * k - at.y) / at.s - 0.5, ((event.clientX - box.left) * k - at.x) / at.s - 0.5];
    },
    inside([row, column]) { return row > -0.5 && column > -0.5 && row < this.real.height - 0.5 && column < this.real.width - 0.5; },
    down(event) {
      if (!this.picture || event.button) return;
      this.$refs.real.focus({ preventScroll: true });
      const at = this.pixel(event);
      if (this.marking) { if (this.inside(at)) this.$emit("mark", at); return; }
      this.at = [event.clientY, event.clientX];  // of the window: the page may move under a hand that drags
      this.$refs.real.setPointerCapture(event.pointerId);
    },
    drag(event) {
      if (!this.at) return;
      const canvas = this.$refs.real, scale = canvas.width / canvas.getBoundingClientRect().width / this.place(canvas).s;
      const [down, right] = [scale * (event.clientY - this.at[0]), scale * (event.clientX - this.at[1])];
      if (Math.hypot(down, right) < 2) return;
      this.at = [event.clientY, event.clientX];
      this.by(right, down);
    },
    up() {
      if (!this.at) return;
      this.at = null;
      this.ask();
    },
    // The CT moved by so many pixels of the real picture.
    by(right, down) {
      const mm = (this.picture.pixel_mm * this.picture.width) / this.real.width;
      this.$emit("by", this.picture.right.map((part, n) => mm * (right * part - down * this.picture.up[n])));
    },
    key(event) {
      if (event.key === "Escape" && this.large) { this.large = ""; event.stopPropagation(); return; }
      if (event.key === "Enter") { this.enlarge(event.target === this.$refs.ct ? "ct" : "real"); event.preventDefault(); return; }
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!step || !this.picture || event.target !== this.$refs.real) return;
      event.preventDefault();
      event.stopPropagation();
      if (!this.marking) { this.by(2 * step[1], 2 * step[0]); return; }
      const from = this.mark || [(this.real.height - 1) / 2, (this.real.width - 1) / 2], to = [from[0] + step[0], from[1] + step[1]];
      if (this.inside(to)) this.$emit("mark", to);
    },
  },
};

// The strength of edges as colour.
function tinted({ width, height, values }) {
  const canvas = new OffscreenCanvas(width, height), c = canvas.getContext("2d"), data = c.createImageData(width, height);
  for (let n = 0; n < values.length; n++) data.data.set([...EDGE_RGB, 0.8 * values[n]], 4 * n);
  c.putImageData(data, 0, 0);
  return canvas;
}
