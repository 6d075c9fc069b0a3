// Real pictures of a C-arm in step Fluoroscopy: loaded, the CT laid behind them by hand, registered, a tip marked in two.

import { Refusal, ask, get, send } from "./api.js";
import realShot from "./real_shot.js";

export default {
  inject: ["nav"],
  components: { "nav-real-shot": realShot },
  data: () => ({ told: { shots: [], warnings: [], result: null }, shift: [0, 0, 0], turn: [0, 0, 0], found: false, marking: false, marks: [null, null], tip: null, gone: "", working: false, version: 0 }),
  template: `
    <section class="np-chosen" data-test="real-shots"><h3>{{ r.title }}</h3>
      <p v-if="told.shots.length < 2"><label>{{ r.load }} <input type="file" data-test="load-shot" @change="load($event)"></label></p>
      <p v-if="gone" class="np-warn" role="status" data-test="shots-gone">{{ gone }}</p>
      <template v-if="told.shots.length">
        <p>{{ r.hint }} {{ r.large }}</p>
        <p class="np-numbers">{{ r.shift }} <input v-for="n in 3" :key="n" type="number" step="1" :value="shift[n - 1]" :aria-label="r.shift + ' ' + n" :data-test="'shift-' + n" @change="set('shift', n - 1, $event)"></p>
        <p class="np-numbers">{{ r.turn }} <input v-for="n in 3" :key="n" type="number" step="1" :value="turn[n - 1]" :aria-label="r.turn + ' ' + n" :data-test="'turn-' + n" @change="set('turn', n - 1, $event)"></p>
        <p class="np-row"><button type="button" class="np-main" :disabled="working || nav.busy" data-test="register-shots" @click="register()">{{ r.register }}</button>
          <button v-if="working" type="button" data-test="stop-shots" @click="nav.stop()">{{ nav.t.stop }}</button>
          <button type="button" @click="reset()">{{ r.reset }}</button>
          <button v-if="told.result" type="button" data-test="show-found" @click="found = !found">{{ found ? r.show_start : r.show }}</button></p>
        <p v-if="working" role="status">{{ nav.progress.words }} {{ Math.round(100 * (nav.progress.share || 0)) }} %</p>
        <section v-if="told.result" aria-live="polite" data-test="shots-result">
          <p v-for="(words, n) in told.result.words" :key="n" :class="n ? '' : kind"><b v-if="!n">{{ told.result.good ? "✓" : "!" }}</b> {{ words }}</p>
          <p>{{ nav.filled(r.start_words, told.result) }}</p>
        </section>
        <ul v-if="warnings.length"><li v-for="words in warnings" :key="words" class="np-WARN">{{ words }}</li></ul>
        <template v-if="told.result && told.shots.length === 2">
          <p><button type="button" :aria-pressed="marking" data-test="mark-tip" @click="marking = !marking; found = true">{{ r.mark }}</button> <span v-if="marking">{{ r.mark_hint }}</span></p>
          <section v-if="tip" aria-live="polite" data-test="shots-tip"><p :class="'np-' + tip.verdict"><b>{{ r.tip }}: {{ tip.verdict.replace("_", " ") }}</b></p>
            <p v-for="words in tip.words" :key="words">{{ words }}</p></section>
        </template>
        <nav-real-shot v-for="(shot, n) in told.shots" :key="shot.file + n" :number="n" :shot="shot" :shift="shift" :turn="turn" :found="found" :version="version" :marking="marking" :mark="marks[n]"
          @by="move" @mark="mark(n, $event)" @picture="choose(n, $event)" @remove="remove(n)" @refused="gone = $event"></nav-real-shot>
      </template>
    </section>`,
  computed: {
    r() { return this.nav.t.real; },
    kind() { return this.told.result.good ? "np-PASS" : "np-WARN"; },
    warnings() { return this.told.result ? this.told.result.warnings : this.told.warnings; },
  },
  mounted() {
    this.stop = Vue.watch(() => [this.nav.wayKey, this.nav.doc.case.image], () => this.again());
    this.again();
  },
  unmounted() { this.stop(); },
  methods: {
    // What was asked for is told anew; where it is refused, the words stand there.
    async go(what) {
      try { this.take(await what()); this.gone = ""; } catch (error) { this.gone = error instanceof Refusal ? error.message : this.nav.t.not_sent; }
    },
    // The image or the way may be another one: what was found is of the one before.
    again() { this.tip = null; return this.go(() => get("shots", {}).then((answer) => answer.json())); },
    take(told) { this.told = told; this.version++; if (!told.result) { this.found = this.marking = false; this.tip = null; this.marks = [null, null]; } },
    async load(event) {
      const [file] = event.target.files;
      event.target.value = "";
      if (file) await this.go(() => send("shots/load", { name: file.name }, file));
    },
    choose(number, picture) { return this.go(() => ask("shots/choose", { number, picture })); },
    remove(number) { return this.go(() => ask("shots/remove", { number })); },
    set(what, n, event) { this[what] = this[what].map((value, k) => (k === n ? Number(event.target.value) || 0 : value)); this.found = this.marking = false; },
    move(by) { this.shift = this.shift.map((value, n) => Math.round(10 * (value + by[n])) / 10); this.found = false; },
    reset() { this.shift = [0, 0, 0]; this.turn = [0, 0, 0]; this.found = this.marking = false; },
    async register() {
      this.working = true;
      this.tip = null;
      this.marks = [null, null];
      const told = await this.nav.run("register_shots", { shift: this.shift, turn: this.turn });
      this.working = false;
      if (told) { this.found = true; this.take(told); }
    },
    async mark(number, place) {
      this.marks = this.marks.map((one, n) => (n === number ? place : one));
      if (!this.marks.every(Boolean)) return;
      const marks = this.marks;
      try { const tip = await ask("shots/tip", { marks }); if (marks === this.marks) { this.tip = tip; this.gone = ""; } } catch (error) { this.tip = null; this.gone = error.message; }
    },
  },
};
