// Beside the views of layout Guide: start and stop, alarms in words, live margins, and what all of it stands on.

export default {
  inject: ["nav"],
  template: `
    <aside class="np-steps np-guide-panel" :aria-label="g.panel">
      <section v-if="!seen.running" class="np-tools">
        <h2>{{ g.panel }}</h2>
        <p v-if="!nav.doc.way" class="np-warn">{{ g.needs_way }}</p><p v-else-if="nav.doc.way.moved" class="np-warn">{{ g.not_kept }}</p>
        <form @submit.prevent="start">
          <label>{{ g.tracker }} <select v-model="tracker" data-test="tracker"><option v-for="one in seen.trackers" :key="one" :value="one">{{ one === "simulated" ? g.simulated : one }}</option></select></label>
          <template v-if="tracker !== 'simulated'">
            <label>{{ g.address }} <input v-model="address" required :placeholder="g.address_hint" data-test="address"></label>
            <label>{{ g.tool_file }} <input type="file" accept=".toml" data-test="tool-file" @change="read('tool_toml', $event)"></label>
            <label v-if="!files.tool_toml">{{ g.tool }} <input v-model="tool" required></label>
            <label>{{ g.registration_file }} <input type="file" accept=".json" data-test="registration-file" @change="read('registration_json', $event)"></label>
            <label v-if="!files.registration_json">{{ g.reference }} <input v-model="reference" required></label>
            <label>{{ g.error_mm }} <input type="number" min="0" step="any" v-model.number="error_mm" data-test="error-mm"></label>
            <label>{{ g.error_deg }} <input type="number" min="0" step="any" v-model.number="error_deg" data-test="error-deg"></label>
            <p class="np-hint">{{ g.left_out }}</p>
          </template>
          <fieldset v-if="placed.length"><legend>{{ g.beside }}</legend><label v-for="one in placed" :key="one.id"><input type="checkbox" :value="one.id" v-model="beside"> {{ one.id }}</label></fieldset>
          <label><input type="checkbox" v-model="record" data-test="record"> {{ g.record }}</label>
          <p><button type="submit" class="np-main" data-test="guide-start" :disabled="starting || !nav.doc.way || nav.doc.way.moved">{{ g.start }}</button></p>
        </form>
      </section>
      <section v-else class="np-tools">
        <p class="np-row"><b>{{ now.rehearsal ? g.simulated : now.tracker }}</b> <button type="button" data-test="guide-stop" @click="nav.stopGuide()">{{ g.stop }}</button></p>
        <template v-if="now.rehearsal">
          <h3>{{ g.move }}</h3>
          <label>{{ g.advance }} <output>{{ Math.round(nav.wish.depth_mm) }} mm</output> <input type="range" data-test="advance" min="-25" :max="Math.ceil(now.planned.target_mm + 15)" step="1" :value="nav.wish.depth_mm" @input="nav.wishFor({ depth_mm: Number($event.target.value) })"></label>
          <label><input type="checkbox" data-test="hide" :checked="!nav.wish.seen" @change="nav.wishFor({ seen: !$event.target.checked })"> {{ g.hide }}</label>
          <p><button type="button" @click="nav.wishFor({ aside_mm: [0, 0], tilt_deg: [0, 0] })">{{ g.straighten }}</button></p>
          <p class="np-hint">{{ g.move_hint }}</p>
        </template>
      </section>
      <section v-if="seen.running" class="np-tools" :class="{ 'np-doubted': doubted }">
        <h3>{{ g.alarms }}</h3>
        <ul class="np-alarms" data-test="alarms" tabindex="0" :aria-label="g.alarms">
          <li v-if="seen.lost_ms" class="np-NOT_EVALUATED"><b>? NOT EVALUATED</b> {{ nav.guide.first }}</li>
          <li v-else-if="!now.alarms.length">{{ g.no_alarm }}</li>
          <li v-for="one in now.alarms.slice(0, few)" :key="one.id" :class="'np-' + one.verdict"><b>{{ one.symbol }} {{ one.word }}</b> {{ one.words }} <em>{{ one.clearing ? g.clearing : nav.filled(g.since, { for_s: Math.floor(one.for_s) }) }}</em></li>
        </ul>
        <details v-if="now.alarms.length > few"><summary>{{ nav.filled(g.more_alarms, { count: now.alarms.length - few }) }}</summary>
          <ul class="np-alarms"><li v-for="one in now.alarms.slice(few)" :key="one.id" :class="'np-' + one.verdict"><b>{{ one.symbol }} {{ one.word }}</b> {{ one.words }}</li></ul></details>
        <h3>{{ g.margins }}</h3>
        <p v-if="doubted && now.margins.length"><span class="np-distrust">{{ g.distrust }}</span></p>
        <table v-if="now.margins.length" class="np-ways" data-test="margins">
          <thead><tr><th scope="col">{{ g.structure }}</th><th scope="col">{{ g.clear_by }}</th><th scope="col">{{ g.asked }}</th></tr></thead>
          <tbody><tr v-for="one in now.margins" :key="one.name"><td :class="'np-' + (doubted ? 'NOT_EVALUATED' : one.verdict)">{{ doubted ? "?" : one.symbol }} {{ one.spoken }} <span class="np-sr">{{ doubted ? now.word : one.word }}</span></td><td>{{ one.low_mm === null ? g.unknown : one.low_mm.toFixed(1) + " mm" }}</td><td>{{ one.required_mm }} mm</td></tr></tbody>
        </table>
        <p v-if="now.margins.length" class="np-hint">{{ nav.filled(g.of, now) }}</p><p v-else class="np-hint" data-test="no-margins">{{ g.no_margins }}</p>
        <h3>{{ g.state }}</h3>
        <dl class="np-standing">
          <dt>{{ g.registration }}</dt><dd>{{ now.registration || g.unknown }}</dd>
          <dt>{{ g.checkpoint }}</dt><dd>{{ now.checkpoint || (now.lost ? g.unknown : g.no_checkpoint) }}</dd>
          <template v-if="now.recording"><dt>{{ g.recording }}</dt><dd data-test="recording">{{ now.recording }}</dd></template>
          <dt>{{ g.error }}</dt><dd>{{ now.error || g.unknown }}</dd>
        </dl>
        <h3>{{ g.checkpoints }}</h3>
        <p v-if="now.touching"><button type="button" class="np-main" data-test="touch" @click="nav.askOrSay('guide/touch', { name: now.touching })">{{ nav.filled(g.touch, { name: now.touching }) }}</button>
          <button type="button" data-test="leave" @click="nav.askOrSay('guide/lead', { name: '' })">{{ g.leave }}</button></p>
        <form v-else-if="!now.lost" @submit.prevent="nav.askOrSay('guide/lead', { name: place })">
          <label><select v-model="place" required :aria-label="g.checkpoints" data-test="place"><option v-for="one in now.landmarks" :key="one.name" :value="one.name">{{ one.name }}: {{ one.holds === null ? g.untouched : one.holds ? g.touched : g.touched_off }}</option></select></label>
          <button type="submit" data-test="lead">{{ g.lead }}</button>
        </form>
        <p class="np-hint">{{ g.lead_hint }}</p>
        <form v-if="!now.rehearsal && now.breath" @submit.prevent="breathe"><label>{{ g.breath }} {{ now.breath }} <input v-model="nav.who" :placeholder="g.who" :aria-label="g.who" required></label> <button type="submit">{{ g.breath_do }}</button></form>
      </section>
    </aside>`,
  data: () => ({ few: 4, tracker: "simulated", address: "", tool: "Needle", reference: "Reference", files: {}, error_mm: "", error_deg: "", starting: false, place: "", record: false, beside: [] }),
  computed: {
    g() { return this.nav.t.guide; },
    seen() { return this.nav.guide.seen; },
    now() { return this.seen.now; },
    placed() { return this.nav.doc.choices.plans.filter((one) => one.id !== this.nav.doc.draft.plan_id); },
    doubted() { return this.now.verdict === "NOT_EVALUATED"; },
  },
  methods: {
    async start() {
      const { tracker, address, tool, reference, files, error_mm, error_deg, record } = this;
      const kept = { record, beside: this.beside.filter((id) => this.placed.some((one) => one.id === id)) };
      const error = error_mm === "" || error_deg === "" ? {} : { error_mm, error_deg };
      this.starting = true;
      await this.nav.startGuide(tracker === "simulated" ? { tracker, ...kept } : { tracker, address, tool, reference, ...files, ...error, ...kept });
      this.starting = false;
    },
    async read(what, event) {
      const [file] = event.target.files;
      this.files = { ...this.files, [what]: file ? await file.text() : "" };
    },
    async breathe() { await this.nav.askOrSay("guide/breath", { who: this.nav.who }); },
  },
};
