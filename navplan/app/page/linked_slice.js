// The second image's own slice, through the place of the cursor: two slices linked. It is as large as the first one's, with
// the cursor at the same place; a click moves the cursor of all views.

import { Latest, get, unpacked } from "./api.js";
import { fitted, inGrey, outlined, pathOf, shortened } from "./drawing.js";
import { add, fromPlane, onPlane } from "./geometry.js";

export default {
  inject: ["nav"],
  template: `
    <section class="np-view" data-view="linked">
      <canvas ref="canvas" tabindex="0" role="img" :aria-label="label" @pointerdown="down" @pointermove="move" @pointerup="held = false" @pointercancel="held = false"
        @wheel.prevent="wheel" @keydown="key" @contextmenu.prevent></canvas>
      <p v-if="words" class="np-view-words">{{ words }}</p>
    </section>`,
  data: () => ({ refusal: "", held: false }),
  computed: {
    label() { const { over, t } = this.nav; return over ? `${over.image}, ${t.views[over.cut]}` : t.fusion.no_second; },
    words() { return this.nav.over ? this.refusal : this.nav.t.fusion.no_second; },
  },
  created() {
    this.picture = null;
    this.request = new Latest(async (what) => unpacked(await get("fusion/slice", what.args)), (picture) => this.got(picture), (error) => { this.refusal = error.message; this.picture = null; this.redraw(); });
    this.back = new Latest(async (what) => (await get("fusion/back", what)).json(), ({ at_mm }) => this.nav.setCursor(at_mm), (error) => { this.refusal = error.message; });
  },
  mounted() {
    this.context = this.$refs.canvas.getContext("2d");
    const { nav } = this;
    this.stops = [
      fitted(this.$refs.canvas, () => this.draw()),
      Vue.watch(() => [nav.overPlace, nav.ui.over.cut], () => this.ask()),
      Vue.watch(() => [nav.over, nav.pairView, nav.errorWords, nav.secondWords, nav.ui.outlines, nav.doc.looks, nav.ui.text], () => this.redraw(), { deep: true }),
    ];
    this.ask();
  },
  unmounted() { this.stops.forEach((stop) => stop()); this.request.close(); this.back.close(); cancelAnimationFrame(this.waiting); },
  methods: {
    ask() {
      const { nav } = this;
      if (nav.over) this.request.ask({ args: { over: nav.overId, cut: nav.ui.over.cut, at: nav.ui.cursor.join(",") } });
      else { this.picture = null; this.redraw(); }
    },
    got(picture) {
      this.picture = picture;
      this.refusal = "";
      this.paths = picture.outlines.map(({ name, pieces }) => ({ name, path: pathOf(pieces, picture) }));
      Object.assign(this.$refs.canvas.dataset, { number: picture.number, cursor: picture.cursor_mm.join(",") });
      this.redraw();
    },
    redraw() { this.waiting ||= requestAnimationFrame(() => { this.waiting = 0; this.draw(); }); },
    // px a mm, and where the middle of the picture is.
    place() {
      const [u, v] = onPlane(this.picture, this.picture.cursor_mm), { scale, at } = this.nav.pairView;
      return [scale, at[0] - u * scale, at[1] - v * scale];
    },
    draw() {
      const canvas = this.$refs.canvas, c = this.context, { nav } = this, p = this.picture, over = nav.over;
      if (!canvas) return;
      c.setTransform(1, 0, 0, 1, 0, 0);
      c.fillStyle = "#000";
      c.fillRect(0, 0, canvas.width, canvas.height);
      if (!p || !over || !nav.pairView) return;
      const dpr = window.devicePixelRatio || 1, [s, x0, y0] = this.place(), [level, width] = over.window, dark = over.modality === "PT";
      // alone, PET is inverse grey and all else grey
      const low = (dark ? level + width / 2 : level - width / 2) / p.step, gain = ((dark ? -255 : 255) * p.step) / width;
      this.grey = inGrey(p, low, gain, this.grey);
      const wide = p.width * p.pixel_mm[0] * s, tall = p.height * p.pixel_mm[1] * s;
      c.imageSmoothingQuality = "high";
      c.drawImage(this.grey, x0 - wide / 2, y0 - tall / 2, wide, tall);
      if (nav.ui.outlines) {
        c.setTransform(s, 0, 0, s, x0, y0);
        c.lineWidth = (1.5 * dpr) / s;
        for (const { name, path } of this.paths) { if (nav.doc.looks.hidden.includes(name)) continue; c.strokeStyle = `rgb(${nav.colours[name] || [154, 165, 177]})`; c.stroke(path); }
        c.setTransform(1, 0, 0, 1, 0, 0);
      }
      const [u, v] = onPlane(p, p.cursor_mm), x = x0 + u * s, y = y0 + v * s, gap = 9 * dpr;
      c.strokeStyle = dark ? "rgba(30,90,170,.8)" : "rgba(143,190,255,.7)";
      c.lineWidth = dpr;
      for (const [a, b, d, e] of [[0, y, x - gap, y], [x + gap, y, canvas.width, y], [x, 0, x, y - gap], [x, y + gap, x, canvas.height]]) { c.beginPath(); c.moveTo(a, b); c.lineTo(d, e); c.stroke(); }
      const size = 12 * dpr * nav.ui.text, [left, right, top, bottom] = p.letters;
      c.font = `700 ${size * 1.15}px sans-serif`;
      for (const [words, a, b, align] of [[left, 10 * dpr, canvas.height / 2, "left"], [right, canvas.width - 10 * dpr, canvas.height / 2, "right"], [top, canvas.width / 2, 12 * dpr, "center"], [bottom, canvas.width / 2, canvas.height - 12 * dpr, "center"]]) outlined(c, words, a, b, align, "#E8EDF2");
      c.font = `${size}px sans-serif`;
      const lines = [[`${over.image}  ${nav.t.views[nav.ui.over.cut]}  ${p.number + 1} / ${p.count}`, "#E8EDF2"], [`${over.symbol} ${over.words}`, over.tint], ...(over.kind ? [[nav.errorWords, over.tint]] : [])];
      lines.forEach(([words, tint], n) => outlined(c, shortened(c, words, canvas.width - 110 * dpr), 10 * dpr, (14 + 17 * n * nav.ui.text) * dpr, "left", tint));
      outlined(c, nav.secondWords, canvas.width - 10 * dpr, 14 * dpr, "right", "#8FBEFF");
      this.$refs.canvas.dataset.value = nav.secondWords;
    },
    at(event) {
      const canvas = this.$refs.canvas, box = canvas.getBoundingClientRect(), dpr = canvas.width / box.width, [s, x0, y0] = this.place();
      return fromPlane(this.picture, ((event.clientX - box.left) * dpr - x0) / s, ((event.clientY - box.top) * dpr - y0) / s);
    },
    goTo(point) { this.back.ask({ over: this.nav.overId, at: point.join(",") }); },
    down(event) { if (!this.picture || !this.nav.pairView) return; this.$refs.canvas.focus(); this.$refs.canvas.setPointerCapture(event.pointerId); this.held = true; this.goTo(this.at(event)); },
    move(event) { if (this.held && this.picture) this.goTo(this.at(event)); },
    wheel(event) {
      if (this.picture) this.step(event.deltaY > 0 ? 1 : -1);
    },
    step(count) {
      const p = this.picture;
      if (!p) return;
      const next = Math.min(Math.max(p.number + count * Math.sign(p.step_mm), 0), p.count - 1), off = onPlane(p, p.cursor_mm)[2];
      if (next !== p.number) this.goTo(add(p.cursor_mm, p.into, (next - p.number) * p.step_mm - off));
    },
    key(event) {
      const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 };
      if (event.key in steps && !event.ctrlKey) { this.step(steps[event.key]); event.preventDefault(); event.stopPropagation(); }
    },
  },
};
