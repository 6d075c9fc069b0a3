// Simulated fluoroscopy: the view is asked for in words; marks and letters are drawn here.

import { Latest, get, unpacked } from "./api.js";
import { fitted, inGrey, outlined } from "./drawing.js";

const REST_MS = 300;
const TINTS = { target: "#E66BD3", needle: "#F4F8FF", tip: "#F4F8FF", scale: "#F4F8FF", path: "#E66BD3" };
const CARMS = ["generic", "angiography", "mobile", "biplane", "biplane-lateral"];
const FIELDS = [0, 150, 100, 70], ZOOMS = [0, 220, 150], PROGRAMS = ["general", "spine"];

export default {
  inject: ["nav"],
  template: `
    <section class="np-view np-fluoro" :class="{ 'np-big': big }" data-view="fluoroscopy">
      <canvas ref="canvas" tabindex="0" role="img" :aria-label="nav.t.views.fluoroscopy" @keydown="key"
        @dblclick="nav.enlarge('fluoroscopy')" @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="up"></canvas>
      <p class="np-fluoro-words" tabindex="0" :class="{ 'np-warn': warned }">{{ words }}</p>
      <div class="np-fluoro-bar">
        <button v-for="view in ['bullseye', 'AP', 'lateral']" :key="view" type="button" @click="set(view)">{{ nav.t.shots[view] }}</button>
        <label>{{ nav.t.rotation }} <input type="range" min="-180" max="180" step="1" v-model.number="primary" @input="swing" @change="swing"></label>
        <label>{{ nav.t.angulation }} <input type="range" min="-60" max="60" step="1" v-model.number="secondary" @input="swing" @change="swing"></label>
      </div>
      <div v-if="big" class="np-fluoro-bar" data-test="fluoro-settings">
        <label>{{ nav.t.find_view }} <select data-test="find" value="" @change="find($event)"><option value="">…</option><option v-for="one in purposes" :key="one" :value="one">{{ purposeWords(one) }}</option></select></label>
        <label>{{ nav.t.carm }} <select data-test="carm" v-model="nav.ui.carmName" @change="ask()"><option v-for="one in carms" :key="one" :value="one">{{ nav.t.carms[one] }}</option></select></label>
        <label>{{ nav.t.field }} <select data-test="field" v-model.number="field" @change="ask()"><option v-for="mm in fields" :key="mm" :value="mm">{{ mm ? mm + " mm" : nav.t.open_field }}</option></select></label>
        <label>{{ nav.t.zoom }} <select data-test="zoom" v-model.number="zoom" @change="ask()"><option v-for="mm in zooms" :key="mm" :value="mm">{{ mm ? mm + " mm" : nav.t.whole_panel }}</option></select></label>
        <label>{{ nav.t.program }} <select data-test="program" v-model="program" @change="ask()"><option v-for="one in programs" :key="one" :value="one">{{ nav.t.programs[one] }}</option></select></label>
        <label><input type="checkbox" data-test="outlines" v-model="outlines" @change="ask()"> {{ nav.t.outlines }}</label>
        <span class="np-fluoro-dose" data-test="dose">{{ dose }}</span>
      </div>
    </section>`,
  data: () => ({ words: "", warned: false, primary: 0, secondary: 0, field: 0, zoom: 0, program: "general", outlines: false, purposes: [], dose: "", carms: CARMS, fields: FIELDS, zooms: ZOOMS, programs: PROGRAMS }),
  computed: {
    big() { return this.nav.ui.big === "fluoroscopy"; },
  },
  created() {
    this.view = { view: "bullseye" };
    this.at = null;  // the isocentre of the last still; null: the target, or the middle of the image
    this.request = new Latest(async (what) => unpacked(await get("fluoro", what), Uint8Array),
      (shot) => this.got(shot), (error) => { this.words = error.message; this.warned = true; });
  },
  mounted() {
    this.context = this.$refs.canvas.getContext("2d");
    this.stops = [fitted(this.$refs.canvas, () => this.draw()), Vue.watch(() => [this.nav.wayKey, this.nav.doc.case.image], () => { this.at = null; this.ask(REST_MS); }), Vue.watch(() => this.big, () => this.ask())];
    this.ask();
  },
  unmounted() {
    this.stops.forEach((stop) => stop());
    this.request.close();
    clearTimeout(this.timer);
  },
  methods: {
    asked(more) {
      return { ...this.view, ...(this.at ? { at: this.at } : {}), rev: this.nav.wayKey, carm: this.nav.ui.carmName, field: this.field, zoom: this.zoom, program: this.program, outlines: this.outlines ? 1 : 0, ...more };
    },
    // A way that was moved is shot once it rests: another one may be on its way.
    ask(wait_ms = 0, quiet = false) {
      clearTimeout(this.timer);
      if (!this.nav.doc.case.image) return;
      if (!quiet) this.words = this.nav.t.shot_making;
      this.timer = setTimeout(() => (this.nav.drag ? this.ask(REST_MS, quiet) : this.request.ask(this.asked({ size: this.big ? 640 : 320 }))), wait_ms);
    },
    set(view) { this.view = { view }; this.at = null; this.ask(); },
    find(event) {
      const purpose = event.target.value;
      event.target.value = "";
      if (!purpose) return;
      this.view = { view: "AP", find: purpose };
      this.program = purpose.includes(" of vertebrae_") ? "spine" : "general";
      this.at = null;
      this.ask();
    },
    purposeWords(purpose) {
      const [kind, name] = purpose.split(" of ");
      return name ? `${kind}: ${name.replace("vertebrae_", "")}` : this.nav.t.purposes[kind];
    },
    swing() {
      const first = Math.abs(this.primary) <= 90 ? `${this.primary < 0 ? "RAO" : "LAO"} ${Math.abs(this.primary)}`
        : `${this.primary < 0 ? "RPO" : "LPO"} ${180 - Math.abs(this.primary)}`;
      this.view = { view: `${first} ${this.secondary < 0 ? "CAU" : "CRA"} ${Math.abs(this.secondary)}` };
      if (this.nav.doc.case.image) this.request.ask(this.asked({ size: 192, moving: 1 }));
      this.ask(REST_MS, true);
    },
    got(shot) {
      this.shot = shot;
      if (!shot.moving) {
        this.primary = Math.round(shot.primary_deg);
        this.secondary = Math.round(shot.secondary_deg);
        this.purposes = shot.purposes;
        this.at = shot.isocentre.join(",");
        this.dose = `${this.nav.t.dose}: ${shot.dose}; ${this.nav.t.so_far} ${shot.so_far} (${this.nav.t.assumed})`;
      }
      const t = this.nav.t;
      this.warned = shot.reachable === false || shot.warnings.length > 0;
      const more = shot.warnings.length > 1 ? ` (+${shot.warnings.length - 1})` : "";
      const why = this.view.find && !shot.moving ? `  ·  ${shot.lines[1]}` : "";
      this.words = `${shot.words}  ·  ${shot.dial ? `${t.dial} ${shot.dial} ${shot.position}` : t.no_dial}  ·  ${t.simulated}${why}${shot.warnings.length ? `  ·  ! ${shot.warnings[0]}${more}` : ""}`;
      this.nav.showCarm(shot.primary_deg, shot.secondary_deg, shot.isocentre);
      this.draw();
      this.$refs.canvas.dataset.view = shot.words;
    },
    draw() {
      const canvas = this.$refs.canvas, c = this.context, shot = this.shot;
      if (!canvas) return;
      c.fillStyle = "#000";
      c.fillRect(0, 0, canvas.width, canvas.height);
      if (!shot) return;
      const image = this.grey = inGrey(shot, 0, 1, this.grey);
      const side = Math.min(canvas.width, canvas.height), s = side / shot.width, x0 = (canvas.width - side) / 2, y0 = (canvas.height - side) / 2;
      const dpr = window.devicePixelRatio || 1;
      c.imageSmoothingQuality = "high";
      c.drawImage(image, x0, y0, side, side);
      c.save();
      c.beginPath();
      c.rect(x0, y0, side, side);
      c.clip();
      for (const mark of shot.marks) {
        c.setLineDash(mark.role === "path" && mark.points.length === 2 ? [5 * dpr, 4 * dpr] : []);
        for (const [tint, wide] of [["rgba(0,0,0,.8)", 3.4], [mark.tint || TINTS[mark.role], 1.5]]) {
          c.strokeStyle = tint; c.lineWidth = wide * dpr; c.beginPath();
          mark.points.forEach(([x, y], n) => { const p = [x0 + (x + 0.5) * s, y0 + (y + 0.5) * s]; if (n) c.lineTo(...p); else c.moveTo(...p); });
          c.stroke();
        }
      }
      c.restore();
      const line = 15 * dpr * this.nav.ui.text;
      c.font = `700 ${line}px sans-serif`;
      const [left, right, top, bottom] = shot.letters;
      outlined(c, left, x0 + 10 * dpr, y0 + side / 2, "left", "#E8EDF2");
      outlined(c, right, x0 + side - 10 * dpr, y0 + side / 2, "right", "#E8EDF2");
      outlined(c, top, x0 + side / 2, y0 + 12 * dpr, "center", "#E8EDF2");
      outlined(c, bottom, x0 + side / 2, y0 + side - 12 * dpr, "center", "#E8EDF2");
      if (shot.marker[1] === "detector") outlined(c, `${shot.marker[0]} ${this.nav.t.at_detector}`, x0 + 10 * dpr, y0 + 12 * dpr, "left", "#E8EDF2");
      c.font = `600 ${0.8 * line}px sans-serif`;
      const names = new Map(shot.marks.filter((mark) => mark.tint).map((mark) => [mark.name, mark.tint]));
      let row = 0;
      for (const [name, tint] of names) outlined(c, name.replaceAll("_", " "), x0 + side - 10 * dpr, y0 + 14 * dpr + 1.2 * line * row++, "right", tint);
    },
    down(event) { this.start = { x: event.clientX, y: event.clientY, primary: this.primary, secondary: this.secondary }; this.$refs.canvas.focus(); this.$refs.canvas.setPointerCapture(event.pointerId); },
    move(event) {
      if (!this.start) return;
      const dx = event.clientX - this.start.x, dy = event.clientY - this.start.y;
      if (Math.hypot(dx, dy) < 4) return;
      this.primary = Math.max(-180, Math.min(180, Math.round(this.start.primary + dx * 0.4)));
      this.secondary = Math.max(-60, Math.min(60, Math.round(this.start.secondary - dy * 0.4)));
      this.swing();
    },
    up() { this.start = null; },
    key(event) {
      const by = { ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, 5], ArrowDown: [0, -5] }[event.key];
      if (!by) return;
      this.primary = Math.max(-180, Math.min(180, this.primary + by[0]));
      this.secondary = Math.max(-60, Math.min(60, this.secondary + by[1]));
      this.swing();
      event.preventDefault();
      event.stopPropagation();
    },
  },
};
