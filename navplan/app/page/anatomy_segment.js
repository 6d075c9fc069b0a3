// Segmenters in the page: those without seeds by a button, those from seeds by a name and clicks in a slice.

export default {
  inject: ["nav"],
  template: `
    <section class="np-segment" data-test="segment">
      <h3>{{ s.title }}</h3>
      <p v-if="!whole.length && !seeded.length" class="np-hint">{{ nav.filled(s.none, { modality: nav.doc.case.modality }) }}</p>
      <button v-if="first" type="button" class="np-wide" :class="{ 'np-main': !hasBody }" :disabled="running" :data-test="'run-' + first.segmenter" @click="start(first.segmenter)">{{ first.description }} <small>{{ first.segmenter }}</small></button>
      <details v-if="others.length"><summary>{{ s.others }}</summary>
        <button v-for="one in others" :key="one.segmenter" type="button" class="np-wide" :disabled="running || Boolean(one.error)" :title="one.error" :data-test="'run-' + one.segmenter" @click="start(one.segmenter)">{{ one.description || one.error }} <small>{{ one.segmenter }}</small></button>
      </details>
      <template v-if="seeded.length"><h3>{{ s.seeded }}</h3>
        <template v-for="row in seeded" :key="row.segmenter">
          <component :is="row.names.length > 12 ? 'details' : 'div'" class="np-chips"><component :is="row.names.length > 12 ? 'summary' : 'small'" :title="row.description">{{ row.names.length > 12 ? row.description : row.segmenter }}</component>
            <button v-for="one in row.names" :key="one.name" type="button" :aria-pressed="chosen.segmenter === row.segmenter && chosen.structure === one.name" :data-test="'seed-' + one.name" :title="row.segmenter + ': ' + row.description"
              @click="choose(row, one.name)">{{ one.present ? "✓ " : "" }}{{ one.spoken }}<em v-if="one.required && !one.present" :title="s.required"> !</em></button>
            <button type="button" :aria-pressed="chosen.segmenter === row.segmenter && chosen.other" :data-test="'other-' + row.segmenter" @click="choose(row, '', true)">{{ s.other }}</button>
          </component>
        </template>
      </template>
      <div class="np-now">
      <div v-if="chosen.segmenter" class="np-chosen" data-test="seeding">
        <p v-if="!chosen.other"><b>{{ spokenOf(chosen.structure) }}</b> <small>{{ chosen.segmenter }}</small></p>
        <label v-else>{{ s.name }} <input v-model="chosen.structure" data-test="seed-name"></label>
        <p>{{ s.hint }}</p>
        <p><b data-test="seeds">{{ nav.filled(chosen.seeds.length === 1 ? s.seed : s.seeds, { count: chosen.seeds.length }) }}</b>
          <button type="button" class="np-main" :disabled="running || !chosen.seeds.length || !chosen.structure" data-test="segment-run" @click="startSeeded">{{ s.run }}</button>
          <button v-if="chosen.seeds.length" type="button" @click="chosen.seeds.pop()">{{ s.drop }}</button>
          <button type="button" @click="leave">{{ nav.t.close }}</button></p>
        <p v-if="isThere(chosen.structure)" class="np-hint">{{ s.replaces }}</p>
      </div>
      <div aria-live="polite" :data-run="told.state" :data-number="told.number" data-test="segmenting">
        <p v-if="running"><progress :value="told.share === null ? undefined : told.share" max="1" :aria-label="told.what"></progress> {{ told.what }}: {{ told.words || s.running }} · {{ told.seconds }} s
          <button type="button" data-test="segment-stop" :disabled="told.stopping" @click="nav.askOrSay('segment/stop', {})">{{ nav.t.stop }}</button></p>
        <template v-else-if="told.state === 'done'">
          <p data-test="segment-made"><b class="np-PASS">✓</b> {{ nav.filled(s.done, told) }} <span v-for="(one, n) in told.made" :key="one.name">{{ n ? "; " : "" }}{{ madeWords(one) }}</span>. {{ s.look }}</p>
        </template>
        <p v-else-if="told.state === 'refused'" class="np-warn" data-test="segment-refused"><b>!</b> {{ nav.filled(s.refused, told) }} {{ nav.onPage(told.words) }} <button v-if="told.structure" type="button" data-test="segment-draw" @click="draw(told.structure)">{{ s.draw }}</button></p>
        <p v-else-if="told.state === 'stopped'">– {{ nav.filled(s.stopped, told) }}</p>
        <p v-for="(words, n) in told.state === 'idle' ? [] : told.notes || []" :key="n" class="np-warn">{{ nav.onPage(words) }}</p>
      </div>
      </div>
    </section>`,
  computed: {
    s() { return this.nav.t.segment; },
    told() { return this.nav.segmenting || { state: "idle" }; },
    running() { return this.told.state === "running"; },
    whole() { return this.nav.doc.segmenters.whole; },
    seeded() { return this.nav.doc.segmenters.seeded; },
    first() { return this.whole.find((one) => !one.error); },
    others() { return this.whole.filter((one) => one !== this.first); },
    hasBody() { return this.isThere("body"); },
    chosen() { return this.nav.seeding; },
  },
  watch: {
    // What was run is there: its seeds have served.
    "told.state"(now) { if (now === "done" && this.told.structure && this.told.structure === this.chosen.structure) this.leave(); },
  },
  methods: {
    isThere(name) { return this.nav.doc.structures.some((one) => one.name === name && one.presence === "present"); },
    spokenOf(name) { return this.seeded.flatMap((row) => row.names).find((one) => one.name === name)?.spoken || name; },
    choose(row, structure, other = false) {
      Object.assign(this.chosen, { segmenter: row.segmenter, structure, other, seeds: [] });
      this.nav.ui.tool = "seed";
      if (!["slices", "needle"].includes(this.nav.ui.layout)) this.nav.ui.layout = "slices";
    },
    leave() {
      Object.assign(this.chosen, { segmenter: "", structure: "", other: false, seeds: [] });
      if (this.nav.ui.tool === "seed") this.nav.ui.tool = "navigate";
    },
    draw(structure) { this.leave(); this.nav.editThis(structure); this.nav.ui.tool = "paint"; },
    start(segmenter) { this.nav.askOrSay("segment/start", { segmenter, who: this.nav.who }); },
    startSeeded() {
      const { segmenter, structure, seeds } = this.chosen;
      this.nav.askOrSay("segment/start", { segmenter, structure, seeds: seeds.map((one) => [...one]), who: this.nav.who });
    },
    madeWords(one) {
      if (one.presence !== "present") return `${one.spoken}: ${this.s.not_found}`;
      const ml = one.ml === null ? "" : ` ${one.ml >= 10 ? Math.round(one.ml) : one.ml.toFixed(1)} ml`, hu = one.median === null ? "" : `, ${Math.round(one.median)} ${this.nav.doc.case.quantity}`;
      return `${one.spoken}${ml}${hu}${one.cut ? ` (${this.nav.t.made.cut})` : ""}`;
    },
  },
};
