// Simulated fluoroscopy of the tracked needle, coarse and at once; the planned target stands in the middle.

import { Latest, get, unpacked } from "./api.js";
import { fitted, hatched, inGrey, outlined } from "./drawing.js";

const EVERY_MS = 200, LATE_MS = 1500, SIZE_PX = 256;  // the needle's planes come first: they are asked for without a wait
const VIEWS = ["down the plan", "AP", "lateral"];

export default {
  inject: ["nav"],
  template: `
    <section class="np-view np-fluoro" :class="{ 'np-big': nav.ui.big === 'fluoroscopy' }" data-view="fluoroscopy">
      <canvas ref="canvas" tabindex="0" role="img" :aria-label="nav.t.views.fluoroscopy + ', ' + nav.t.guide.follows" @dblclick="nav.enlarge('fluoroscopy')" @keydown.enter="nav.enlarge('fluoroscopy')"></canvas>
      <div class="np-fluoro-bar"><button v-for="(one, n) in views" :key="one" type="button" :aria-pressed="view === one" @click="view = one">{{ nav.t.guide.shots[n] }}</button><span class="np-fluoro-dose">{{ nav.t.simulated }}{{ words ? " · " + words : "" }}</span></div>
    </section>`,
  data: () => ({ views: VIEWS, view: VIEWS[0], words: "" }),
  created() {
    this.askedAt = 0;
    this.request = new Latest(async (what) => { const answer = await get("guide/fluoro", what.args); return answer.status === 204 ? null : unpacked(answer, Uint8Array); },
      (shot, what) => this.got(shot, what), () => {});
  },
  mounted() {
    this.context = this.$refs.canvas.getContext("2d");
    this.stops = [fitted(this.$refs.canvas, () => this.draw()), Vue.watch(() => this.nav.guide.seen.now, () => this.follow()), Vue.watch(() => this.view, () => { this.shot = null; this.askedAt = 0; this.follow(); })];
    this.follow();
  },
  unmounted() { this.stops.forEach((stop) => stop()); this.request.close(); cancelAnimationFrame(this.waiting); },
  methods: {
    follow() {
      if (!this.nav.liveAt) this.shot = null;
      else if (performance.now() - this.askedAt > EVERY_MS) {
        this.askedAt = performance.now();
        this.request.ask({ args: { view: this.view, size: SIZE_PX }, asked: this.askedAt });
      }
      this.waiting ||= requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
    },
    got(shot, { args, asked }) {
      if (!shot || !this.nav.liveAt || args.view !== this.view) return;
      this.shot = shot;
      this.taken = asked;
      this.words = shot.words;
    },
    draw() {
      const canvas = this.$refs.canvas, c = this.context, { nav } = this, { t } = nav, at = nav.liveAt;
      if (!canvas) return;
      const dpr = window.devicePixelRatio || 1, width = canvas.width / dpr, height = canvas.height / dpr, text = nav.ui.text;
      c.setTransform(dpr, 0, 0, dpr, 0, 0);
      c.fillStyle = "#000";
      c.fillRect(0, 0, width, height);
      const shot = at && this.shot && performance.now() - this.taken < LATE_MS ? this.shot : null;
      if (shot) this.picture(c, shot, width, height, text);
      if (!shot || nav.guide.seen.now.verdict === "NOT_EVALUATED") {
        const words = !nav.guide.seen.running ? t.guide.off : !at ? t.guide.no_place : !shot ? t.guide.picture_late : t.guide.distrust;
        hatched(c, { width, height, x: width / 2, y: height / 2 }, words, text);
      }
      c.font = `600 ${12 * text}px sans-serif`;
      outlined(c, t.views.fluoroscopy, 10, 14, "left", "#E8EDF2");
    },
    picture(c, shot, width, height, text) {
      this.grey = inGrey(shot, 0, 1, this.grey);
      const side = Math.min(width, height), s = side / shot.width, x0 = (width - side) / 2, y0 = (height - side) / 2;
      c.imageSmoothingQuality = "high";
      c.drawImage(this.grey, x0, y0, side, side);
      for (const mark of shot.marks) {
        for (const [ink, wide] of [["rgba(0,0,0,.8)", 3.4], ["#F4F8FF", 1.5]]) {
          c.strokeStyle = ink; c.lineWidth = wide; c.beginPath();
          mark.points.forEach(([x, y], n) => { const p = [x0 + (x + 0.5) * s, y0 + (y + 0.5) * s]; if (n) c.lineTo(...p); else c.moveTo(...p); });
          c.stroke();
        }
      }
      for (const [ink, wide] of [["rgba(0,0,0,.8)", 4], ["#E66BD3", 2]]) { c.strokeStyle = ink; c.lineWidth = wide; c.beginPath(); c.arc(x0 + side / 2, y0 + side / 2, 8, 0, 7); c.stroke(); }
      c.font = `700 ${13 * text}px sans-serif`;
      const [left, right, top, bottom] = shot.letters;
      for (const [words, x, y, align] of [[left, x0 + 10, height / 2, "left"], [right, x0 + side - 10, height / 2, "right"], [top, width / 2, y0 + 12, "center"], [bottom, width / 2, y0 + side - 12, "center"]]) outlined(c, words, x, y, align, "#E8EDF2");
    },
  },
};
