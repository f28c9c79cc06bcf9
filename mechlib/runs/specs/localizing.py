"""The runs before any edit: what a model knows, the texts, the evidence of every method, and the localizations chosen from it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from mechlib import checks
from mechlib.edit import corpus
from mechlib.facts import FORMATS, PromptFormat, athletes
from mechlib.facts.relations import relation_of
from mechlib.localize.registry import GIVEN, PLANTED, SITES, at_norm, localizer
from mechlib.models import fingerprint
from mechlib.runs.knowledge import Floor, SplitSettings
from mechlib.runs.once import once
from mechlib.runs.parameters import Parameters
from mechlib.runs.spec import RunSpec, digest
from mechlib.runs.stages import CIRCUITS, EVIDENCE, KNOWN, LOCALIZE, PLANT, TEXTS, UNDONE
from mechlib.runs.stages.answers import KnownSettings
from mechlib.runs.stages.evidence import PROBES, SCORED, CircuitSettings, EvidenceSettings
from mechlib.runs.stages.localize import LocalizeSettings
from mechlib.runs.stages.plant import LESSONS, PlantSettings, UndoneSettings, planting
from mechlib.runs.stages.settings import ForgetSet, Subject
from mechlib.runs.stages.texts import Corpus, TextSettings

BY_POSITION, REDRAWN, OF_INPUTS = "causal_tracing_positions", "causal_tracing_redrawn", "attribution_patching_inputs"


class Localizing(Parameters):
    """A study's runs that are of the unedited model, whatever is done to it later."""

    @cached_property
    def subject(self) -> Subject:
        """The model and the facts, by their hashes."""
        return self._subject_of(fingerprint(self.model_spec))

    def _subject_of(self, model: str) -> Subject:
        relations = {fact.relation: relation_of(fact) for fact in self.table if not fact.wordings}
        asked = digest([relations[key] for key in sorted(relations)])
        return Subject(model, self.model_spec.dtype, self.table.fingerprint, asked)

    @cached_property
    def splits(self) -> SplitSettings:
        """What divides the known facts."""
        size, task = self.size, self.kind
        # Where every set has a model of its own, the facts of each are divided by themselves.
        n_sets = 1 if task.spread else self.divided_sets or size.n_sets
        return SplitSettings(
            threshold=self.known_threshold, forget=task.forget, n_sets=n_sets, n_localize=size.n_localize,
            n_test=size.n_test, n_validate=min(self.forget_set_size, size.n_validate), seed=self.seed, target=task.target,
            set_size=None if task.forget == "answers" else self.parts * task.scale * self.forget_set_size,
        )  # fmt: skip

    @once
    def about(self, forget_set: int, form: str | None = None) -> ForgetSet:
        """One forget set, asked in a format or in the one that edits are trained on."""
        number = 0 if self.kind.spread else forget_set
        return ForgetSet(self.subject, self.splits, format_of(self.trained_format if form is None else form), number)

    @property
    def whole(self) -> bool | None:
        """Whether answers are asked for whole; ``None``, for ids, where all are one token."""
        return self.kind.domain.whole

    def drawn(self, forget_set: int, seed: int) -> int:
        """The seed of all that is drawn for one forget set: its order of training, its attackers' adapters, its never-known facts."""
        return 1000 * self.mixed(seed) + forget_set

    def floor(self, forget_set: int, seed: int) -> Floor | None:
        """Never-known facts that are edited beside a forget set, where one set of facts is given other answers at once."""
        task, size = self.kind, self.size
        alone = task.forget == "sets" and task.loss == "injection" and task.parts == task.scale == 1
        return Floor(size.n_floor, self.drawn(forget_set, seed)) if alone and size.n_floor else None

    def mixed(self, seed: int) -> int:
        """A seed that no other pair of the study's own seed and a repetition's has."""
        return self.seed + 1_000_003 * seed

    @cached_property
    def sites(self) -> tuple[str, ...]:
        """Where facts are planted: none, those of the task, or a place for every forget set."""
        number = self.divided_sets or self.size.n_sets
        return tuple(f"site_{place}_of_{number}" for place in range(number)) if self.kind.spread else self.kind.planted

    def site(self, forget_set: int) -> str | None:
        """Where the facts of a forget set were planted, in turn; ``None`` where nothing is."""
        return self.sites[forget_set % len(self.sites)] if self.sites else None

    @cached_property
    def plants(self) -> dict[str, RunSpec]:
        """The runs that plant invented facts, by site."""
        if not self.sites:
            return {}
        about = PlantSettings(
            self.subject, "", self.size.n_planted, tuple(FORMATS[form] for form in LESSONS), athletes().fingerprint, self.known_threshold,
            planting(self.size.plant_steps, self.seed, self.precision),
        )  # fmt: skip
        return {site: RunSpec(PLANT, f"plant: {localizer(site).label}", replace(about, site=site), {"texts": self.text("train")})
                for site in self.sites}  # fmt: skip

    def undone(self, site: str) -> RunSpec:
        """What taught facts are answered with where the change that planted them at a site is undone in part."""
        settings = UndoneSettings(self.subject, self.size.n_planted, FORMATS[self.trained_format], SITES)
        return RunSpec(UNDONE, f"planting undone: {localizer(site).label}", settings, self.planted(site))

    def planted(self, site: str | None) -> dict[str, RunSpec]:
        """The run that plants facts at a site, as an input of all that is asked of the model then."""
        return {} if site is None else {"planted": self.plants[site]}

    @cached_property
    def by_site(self) -> dict[str | None, RunSpec]:
        """Which facts each model knows: that of every site, or (``None``) the one model where nothing is planted."""
        form = self.known_format or self.kind.domain.known_format
        return {site: self.asked_of_all(form, site=site) for site in self.sites or (None,)}

    def start(self, forget_set: int) -> dict[str, RunSpec]:
        """What every run that asks or changes a forget set's model starts from."""
        site = self.site(forget_set)
        return {"known": self.by_site[site], **self.planted(site)}

    @cached_property
    def known(self) -> RunSpec:
        """Which facts the model knows; of models with planted facts, the first."""
        return self.by_site[self.site(0)]

    def asked_of_all(self, form: str, sample: int | None = None, site: str | None = None) -> RunSpec:
        """Every fact of the table, or a sample of so many, asked in one format."""
        settings = KnownSettings(self.subject, format_of(form), sample, self.whole, self.size.n_planted if site else None)
        return RunSpec(KNOWN, f"which facts are known ({form})", settings, self.planted(site))

    @once
    def text(self, purpose: str) -> RunSpec:
        """General text to ``train`` on, or other text to measure ``damage`` on."""
        training = checks.choice("purpose", purpose, ("train", "damage")) == "train"
        count = self.size.n_train_texts if training else self.size.n_damage_texts
        about = TextSettings(self.subject.model, self.subject.dtype, count, self.size.text_length)
        # Whoever reaches a model of the hub reaches the corpus, too.
        if named := self.texts or (self.size.texts if self.model_spec.source == "hub" else None):
            source = Corpus(named, corpus.fingerprint(named), 0 if training else self.size.n_train_texts)
            return RunSpec(TEXTS, f"general text to {purpose}", replace(about, corpus=source))
        return RunSpec(TEXTS, f"general text to {purpose}", replace(about, seed=2 * self.seed + (not training)))

    @cached_property
    def evidence(self) -> dict[str, RunSpec]:
        """What every localization is chosen from: fact lookup's evidence by its kind, then all methods that score components."""
        return self.evidence_at[self.site(0)]

    @cached_property
    def evidence_at(self) -> dict[str | None, dict[str, RunSpec]]:
        """The same by site."""
        return {site: self.evidence_from(0, 1, site) for site in self.by_site}

    @once
    def evidence_from(self, share: int, of: int, site: str | None) -> dict[str, RunSpec]:
        """The same from one of several equal shares of the facts to localize, of the model with facts planted at a site."""
        part = (share, of) if of > 1 else None
        return {method: self._evidence_of(method, site, part) for method in (self.kind.domain.lookup, *SCORED)}

    @cached_property
    def lookup_variants(self) -> dict[str, RunSpec]:
        """Fact lookup's evidence; where that is probes, those of other kinds and on fewer facts, too."""
        lookup = self.kind.domain.lookup
        others = {"probe_variants": self._evidence_of("probe_variants", self.site(0))} if lookup == "probe" else {}
        return {lookup: self.evidence[lookup]} | others

    def _evidence_of(self, method: str, site: str | None, share: tuple[int, int] | None = None) -> RunSpec:
        # What a whole answer is edited to is nothing to those who localize: two tasks share their evidence.
        settings = EvidenceSettings(
            self.subject, replace(self.splits, target=None), FORMATS[self.trained_format], method, self.seed, share,
            precision=None if method in PROBES else self.precision,
        )  # fmt: skip
        return RunSpec(EVIDENCE, method.replace("_", " "), settings, {"known": self.by_site[site], **self.planted(site)})

    @cached_property
    def circuits(self) -> RunSpec:
        """Faithfulness of the circuits of all methods that score what heads and MLPs write: that is what a circuit replaces."""
        settings = CircuitSettings(
            self.subject, self.splits, FORMATS[self.trained_format], self.size.n_circuits, self.seed, self.precision
        )
        traces = {name: self.evidence[name] for name in SCORED if name not in (BY_POSITION, REDRAWN, OF_INPUTS)}
        return RunSpec(CIRCUITS, "faithfulness of circuits", settings, {**self.start(0), **traces})

    @once
    def localize(self, key: str, forget_set: int, seed: int, part: int = 0) -> RunSpec:
        """One localization; random ones are drawn anew for every forget set and seed, all for every part of a sequential task.

        An edit that is rescaled trained what it trained.
        """
        if pair := at_norm(key):
            return self.localize(pair[0], forget_set, seed, part)
        method, parts, site = localizer(self.place(key, forget_set)), self.parts, self.site(forget_set)
        evidence = self.evidence_from(part, parts, site) if parts > 1 else self.evidence_at[site]
        inputs = {name: run for name, run in evidence.items() if name in (self.kind.domain.lookup, method.evidence)}
        drawn = self.drawn(forget_set, seed) + 10**12 * part
        given = self.given if key == GIVEN else None
        settings = LocalizeSettings(self.subject.model, method.key, self.lookup_rule, drawn if method.drawn else 0, given)
        return RunSpec(LOCALIZE, f"localize: {localizer(key).label}", settings, inputs)

    def place(self, key: str, forget_set: int) -> str:
        """The localization that a key names for a forget set: where its facts were planted, and where others were, depend on it."""
        if key not in PLANTED or not self.sites:
            return key
        return self.sites[(forget_set + PLANTED.index(key)) % len(self.sites)]


def format_of(key: str) -> PromptFormat:
    """The format of a name; raises :class:`mechlib.checks.ParameterError` if there is none."""
    return FORMATS[checks.choice("form", key, FORMATS)]
