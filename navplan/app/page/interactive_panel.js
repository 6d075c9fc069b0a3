// One structure by points, scribbles, lassos and boxes: an interactive segmenter completes it, a person accepts it.

import { isPrompt, toolOf } from "./interactive.js";

export default {
  inject: ["nav"],
  template: `
    <details data-test="interactive" :open="Boolean(d) || nav.drawnOut" @toggle="nav.drawnOut = $event.target.open"><summary>{{ b.title }}</summary>
      <p v-if="!told.offered.length" class="np-hint">{{ b.none }}</p>
      <template v-if="!d" v-for="one in told.offered" :key="one.name">
        <p v-if="one.fault" class="np-hint" data-test="interactive-fault">{{ nav.filled(b.cannot, one) }}</p>
        <template v-else>
          <p class="np-hint">{{ one.place ? nav.filled(b.goes_to, one) : b.stays }}</p>
          <p><button type="button" class="np-main" data-test="interactive-begin" @click="begin(one.name)">{{ nav.filled(b.begin, one) }}</button></p>
        </template>
      </template>
      <p v-if="told.error" class="np-warn" role="alert" data-test="interactive-error">{{ told.error }}</p>
      <template v-if="d && d.ready">
        <p v-if="d.image !== nav.doc.case.image" class="np-warn">{{ nav.filled(b.other_image, d) }}</p>
        <p v-if="d.over" class="np-warn" data-test="interactive-over">{{ told.error ? "" : nav.filled(b.over, d) }} {{ d.ml === null ? b.over_empty : b.over_kept }}</p>
        <template v-else>
          <p class="np-hint">{{ b.hint }}</p>
          <p role="group" :aria-label="b.title"><button v-for="kind in d.prompts" :key="kind" type="button" :aria-pressed="nav.ui.tool === tool(kind)" :data-test="tool(kind)" @click="take(kind)">{{ b.tools[kind] }}</button></p>
          <p role="group" :aria-label="b.sign">{{ b.sign }} <button type="button" :aria-pressed="!nav.ui.exclude" data-test="interactive-include" @click="nav.ui.exclude = false">{{ b.include }}</button>
            <button type="button" :aria-pressed="Boolean(nav.ui.exclude)" data-test="interactive-exclude" @click="nav.ui.exclude = true">{{ b.exclude }}</button></p>
        </template>
        <p v-if="!d.work" data-test="interactive-so-far">{{ nav.filled(d.ml === null ? b.nothing_yet : b.so_far, { count: d.marks.length, ml: d.ml }) }}
          <template v-if="!d.over"><button type="button" :disabled="!d.can_undo" data-test="interactive-undo" @click="nav.drawFor('undo')">{{ b.undo }}</button>{{ " " }}
            <button type="button" :disabled="!d.marks.length" data-test="interactive-reset" @click="nav.drawFor('reset')">{{ b.reset }}</button></template></p>
      </template>
      <p v-if="d && d.work" data-test="interactive-work"><progress :aria-label="b.work[d.work]"></progress> {{ b.work[d.work] }} {{ nav.filled(b.for_s, { s: d.work_s }) }}
        <button v-if="d.work !== 'accept'" type="button" data-test="interactive-stop" @click="nav.drawFor('stop')">{{ b.stop }}</button></p>
      <template v-if="d && d.ready">
        <template v-if="d.ml !== null">
          <label>{{ b.name }} <input v-model="name" data-test="interactive-name"></label>
          <label>{{ nav.t.who }} <input v-model="nav.who" data-test="interactive-who"></label>
          <label><input type="checkbox" v-model="whole"> {{ nav.t.edit_whole }}</label>
        </template>
        <p v-if="d.licence" class="np-hint">{{ nav.filled(b.licence, d) }}</p>
      </template>
      <p v-if="d"><button v-if="d.ml !== null" type="button" class="np-main" :disabled="!name || !nav.who || Boolean(d.work)" data-test="interactive-accept" @click="accept">{{ b.accept }}</button>{{ " " }}
        <button type="button" :disabled="d.work === 'accept'" data-test="interactive-cancel" @click="cancel">{{ b.cancel }}</button></p>
    </details>`,
  data: () => ({ name: "", whole: false }),
  computed: {
    b() { return this.nav.t.interactive; },
    told() { return this.nav.interactive || { offered: [], drawing: null, error: "", outline: 0 }; },
    d() { return this.told.drawing; },
  },
  watch: {
    "d.ready"(ready) { if (ready) this.$nextTick(() => this.$el.scrollIntoView({ block: "start" })); },
    d(now) { if (!now || now.over) this.putAway(); },
  },
  methods: {
    tool: toolOf,
    begin(segmenter) { this.nav.ui.layout = "slices"; this.nav.drawFor("begin", { segmenter }); },
    take(kind) { this.nav.ui.layout = "slices"; this.nav.ui.tool = this.nav.ui.tool === toolOf(kind) ? "navigate" : toolOf(kind); },
    putAway() { if (isPrompt(this.nav.ui.tool)) this.nav.ui.tool = "navigate"; },
    async accept() {
      const name = this.name;
      if (!await this.nav.drawFor("accept", { name, who: this.nav.who, whole_image: this.whole })) return;
      Object.assign(this, { name: "", whole: false });
      this.nav.say(this.nav.filled(this.b.accepted, { name }));
    },
    async cancel() { if (await this.nav.drawFor("cancel")) this.name = ""; },
  },
};
