// What arrived in the inbox, and its way into this case or a new one.

export default {
  inject: ["nav"],
  template: `
    <section class="np-inbox" data-test="inbox">
      <h3>{{ b.title }}</h3>
      <p v-if="!nav.inbox.length" class="np-hint">{{ b.empty }}</p>
      <ul v-else>
        <li v-for="study in nav.inbox" :key="study.uid" :data-study="study.uid">
          <b>{{ study.modalities.join(", ") || b.no_modality }} {{ study.date }}</b> {{ nav.filled(b.objects, study) }}
          <p :class="study.ready ? 'np-hint' : 'np-warn'" data-test="quiet">{{ study.quiet ? nav.filled(b.quiet, study) : b.coming }}</p>
          <ul>
            <li v-for="one in study.series" :key="one.uid">{{ one.modality }} {{ one.description || b.no_description }} · {{ nav.filled(b.objects, one) }}
              <em v-if="one.image">{{ nav.filled(b.there, one) }}</em> <span v-if="one.since" class="np-warn">{{ nav.filled(b.since, one) }}</span>
              <button v-else-if="!one.image && study.series.length > 1" type="button" :disabled="!study.ready || nav.busy" @click="take(study, one.uid)">{{ b.take_one }}</button></li>
          </ul>
          <p><button v-if="study.series.some((one) => !one.image)" type="button" class="np-main" data-test="import" :disabled="!study.ready || nav.busy" @click="take(study)">{{ holds ? b.take_here : b.take }}</button>
            <button v-if="holds" type="button" data-test="import-new" :disabled="!study.ready || nav.busy" @click="open(study)">{{ b.take_new }}</button></p>
        </li>
      </ul>
    </section>`,
  computed: {
    b() { return this.nav.t.inbox; },
    holds() { return this.nav.doc.case.images.length > 0; },
  },
  methods: {
    async take(study, series = "") {
      const made = await this.nav.run("import_arrived", { study: study.uid, series });
      if (made) made.refused.forEach((words) => this.nav.say(this.nav.filled(this.b.refused, { words })));
    },
    // The server comes back with the new case, and the page is loaded anew.
    async open(study) {
      const made = await this.nav.run("open_arrived", { study: study.uid });
      if (made) this.nav.say(this.nav.filled(this.b.opening, made));
    },
  },
};
