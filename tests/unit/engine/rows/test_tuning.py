"""Models are tuned once, and run as they were tuned at the next start."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
import torch
from diffusers import PNDMScheduler

from shared.catalogue import Catalogue
from shared.errors import CatalogueError
from shared.tuning_file import TuningFile
from tests.unit.engine.drawing import Recorder, RequestMaker, engine_of
from tests.unit.engine.rows.conftest import Adapted
from tests.unit.engine.rows.drawing import call_of, draw_joining, furthest
from tests.unit.engine.rows.tiny import SAVERS
from tests.unit.engine.stages.recorders import FakeRecorder
from tests.waiting import wait_until
from worker.engine.models.arguments import Call
from worker.engine.models.loading import LoadedModel
from worker.engine.request import TuningChoice
from worker.engine.rows.batcher import OFTEN
from worker.engine.rows.caps import Caps
from worker.engine.rows.families.family import RowFamily
from worker.engine.rows.families.registry import adapt
from worker.engine.rows.staging import modes_of, stages_of
from worker.engine.rows.tuning import Tuning, Tunings
from worker.engine.stages.agreement import relative_error
from worker.engine.stages.modes import FewerLayers, Layout, Mode
from worker.engine.stages.stage import Stage
from worker.engine.stages.tuner import Trial, powers_of_two

CPU = torch.device("cpu")
LoadTiny = Callable[[str], LoadedModel]
# Of numpy about torch's tensors, raised by some schedulers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.slow,
]
every_family = pytest.mark.parametrize("name", list(SAVERS))


def calls(family: RowFamily) -> Callable[[str], Call]:
    def call(prompt: str) -> Call:
        return call_of(family.model, prompt, 2, 3.0)

    return call


class Marked(Mode):
    """A mode that pays, since it computes only once, and leaves its mark until it is undone."""

    name, exact, slow, alone = "marked", True, False, False

    def applies(self, stage: Stage) -> bool:
        return stage.name == "denoise"

    def apply(self, stage: Stage) -> None:
        plain, known = stage.module.forward, dict[object, object]()

        def forward(sample: torch.Tensor, *more: object, **named: object) -> object:
            if sample.shape not in known:
                known[sample.shape] = plain(sample, *more, **named)
            return known[sample.shape]

        stage.module.forward = forward  # type: ignore[method-assign]

    def undo(self, stage: Stage) -> None:
        stage.module.__dict__.pop("forward", None)


@pytest.fixture
def found(found_once: dict[str, Path], tmp_path: Path, load_tiny: LoadTiny) -> Iterator[dict[str, Path]]:
    """Files of what was found at each level, and a model that is plain before and after."""
    unmark(load_tiny)
    yield {level: Path(shutil.copy(file, tmp_path / level)) for level, file in found_once.items()}
    unmark(load_tiny)


@pytest.fixture(scope="module")
def found_once(tmp_path_factory: pytest.TempPathFactory, load_tiny: LoadTiny) -> dict[str, Path]:
    family, folder = adapt(load_tiny("StableDiffusionPipeline")), tmp_path_factory.mktemp("found")
    files = {level: folder / level for level in ("off", "quick", "full")}
    assert family is not None
    unmark(load_tiny)
    torch.set_num_threads(1)
    with torch.inference_mode():
        planted("full", files["full"]).tune(family, calls(family))
    ((identity, kept),) = TuningFile(files["full"]).read().items()
    assert kept.denoise.modes == ("marked",)
    for level in ("off", "quick"):
        # Tuning takes seconds, and the same would have been found.
        as_if = identity.removesuffix("full") + level
        TuningFile(files[level]).keep(as_if, kept.model_copy(update={"level": level}))
    return files


def unmark(load_tiny: LoadTiny) -> None:
    load_tiny("StableDiffusionPipeline").pipeline.unet.__dict__.pop("forward", None)


def is_marked(family: RowFamily) -> bool:
    return "forward" in family.denoising.__dict__


def planted(level: str, file: Path, modes: tuple[Mode, ...] = (Marked(),)) -> Tunings:
    """What tunes with modes of a test's own."""
    choice = TuningChoice(level, file)
    return Tunings(CPU, Caps(CPU), choice, lambda: None, lambda _, __: modes)


@every_family
def test_every_stage_recorded_and_padded_gives_what_it_gives_plain(adapted: Adapted, name: str) -> None:
    family, recorder = adapted(name), FakeRecorder()
    for stage in stages_of(family, calls(family)):
        plain = [[tensor.clone() for tensor in stage.run(images)] for images in (1, 2, 3, 4)]
        for graphs in stage.graphs:
            graphs.turn_on(recorder, powers_of_two(8))
            with graphs.recording():
                for images in (4, 2, 1):
                    stage.run(images, 1)
        for images, expected in enumerate(plain, start=1):
            assert relative_error(stage.run(images), expected) < 1e-5, (stage.name, images)
        for graphs in stage.graphs:
            graphs.turn_off()
    played = sum(each.played for each in recorder.recorded)
    assert played >= 4 * (len(recorder.recorded) > 0)


def test_a_scheduler_may_keep_what_a_recorded_denoiser_gave_it(adapted: Adapted) -> None:
    family = adapted("StableDiffusionPipeline")
    family.pipeline.scheduler, kept = PNDMScheduler(skip_prk_steps=True), family.pipeline.scheduler
    try:
        # Without guidance nothing is computed of what the denoiser gives, and this scheduler remembers it.
        call = call_of(family.model, "a red apple", 6, 1.0)

        def drawn() -> list[torch.Tensor]:
            return draw_joining(family, [family.prepare(call, seed) for seed in range(3)])

        plain = drawn()
        family.denoiser.turn_on(FakeRecorder(), powers_of_two(4))
        with family.denoiser.recording():
            drawn()
        recorded = drawn()
    finally:
        family.pipeline.scheduler = kept

    assert furthest(recorded, plain) < 1e-5


def test_a_pipeline_may_keep_what_a_recorded_encoder_gave_it(adapted: Adapted) -> None:
    family = adapted("StableDiffusionXLPipeline")
    # It encodes the negative words before it has copied all of what came of the others.
    call = family.call(call_of(family.model, "a red apple", 2, 3.0, negative_prompt="blurred, grey"))
    plain = [tensor.clone() for entry in family.encode(call) for tensor in entry.values()]
    for recordable in family.encoders:
        recordable.graphs.turn_on(FakeRecorder(), (1,))
        with recordable.graphs.recording():
            family.encode(call)

    recorded = [tensor for entry in family.encode(call) for tensor in entry.values()]

    assert relative_error(recorded, plain) < 1e-6


@pytest.mark.parametrize("name", ["Flux2KleinPipeline", "ZImagePipeline"])
def test_layers_that_nobody_reads_are_left_out_bit_for_bit(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    text = stages_of(family, calls(family))[0]
    (mode,) = [mode for mode in modes_of(family, text) if isinstance(mode, FewerLayers)]
    plain = [tensor.clone() for tensor in text.run(1)]
    encoder = getattr(text.module, "model", text.module)
    asked = []
    hook = encoder.layers[-1].register_forward_hook(lambda _, given, found: asked.append((given, found)))

    assert mode.applies(text)
    mode.apply(text)
    without = text.run(1)
    mode.undo(text)
    again = text.run(1)
    hook.remove()

    assert relative_error(without, plain) == relative_error(again, plain) == 0
    (given, found), *_ = asked
    assert torch.equal(given[0], found)
    assert not torch.equal(asked[-1][0][0], asked[-1][1])


@pytest.mark.parametrize("to", [torch.channels_last, torch.contiguous_format])
def test_another_layout_is_the_same_arithmetic(adapted: Adapted, to: torch.memory_format) -> None:
    family = adapted("StableDiffusionPipeline")
    decode = stages_of(family, calls(family))[2]
    other = torch.contiguous_format if to is torch.channels_last else torch.channels_last
    decode.module.to(memory_format=other)  # type: ignore[call-overload]
    plain, mode = [tensor.clone() for tensor in decode.run(1)], Layout(to)

    assert mode.applies(decode)
    mode.apply(decode)
    assert not mode.applies(decode)
    assert relative_error(decode.run(1), plain) < 1e-5
    mode.undo(decode)

    assert mode.applies(decode)


def test_a_model_is_tuned_once_and_applied_at_the_next_start(tmp_path: Path, adapted: Adapted) -> None:
    family, file, told = adapted("StableDiffusionPipeline"), tmp_path / "deep" / "tuning.json", list[str]()

    def tune() -> Tuning:
        tunings = Tunings(CPU, Caps(CPU), TuningChoice("quick", file), FakeRecorder)
        plan: Callable[[int], object] = lambda trials: told.append(f"{trials} planned")  # noqa: E731
        return tunings.tune(family, calls(family), lambda trial: told.append(trial.mode), plan=plan)

    found = tune()
    first, *trials = told
    told.clear()
    again = tune()

    assert first == f"{len(trials)} planned"
    assert trials.count("plain") == 3
    assert len(trials) > 6
    assert again == found
    assert told == []


@pytest.mark.parametrize(
    ("found_at", "used_at", "is_used"),
    [
        ("full", "full", True),
        ("full", "quick", True),
        ("quick", "quick", True),
        ("quick", "full", False),
        ("full", "off", False),
        ("quick", "off", False),
        ("off", "quick", False),
        ("off", "off", True),
    ],
)
def test_what_was_found_more_thoroughly_is_used_where_less_is_asked(
    found: dict[str, Path], adapted: Adapted, found_at: str, used_at: str, is_used: bool
) -> None:
    used = planted(used_at, found[found_at]).kept(adapted("StableDiffusionPipeline").model.spec)

    assert (used is not None) == is_used
    if used is not None:
        assert used.level == found_at
        assert used.denoise.modes == ("marked",)


def test_of_two_that_are_known_the_more_thorough_is_applied(
    tmp_path: Path, found: dict[str, Path], adapted: Adapted
) -> None:
    family, told, file = adapted("StableDiffusionPipeline"), list[Trial](), TuningFile(tmp_path / "both")
    for level in ("full", "quick"):
        for identity, kept in TuningFile(found[level]).read().items():
            file.keep(identity, kept)

    tuning = planted("quick", file.path).tune(family, calls(family), told.append)

    assert len(file.read()) == 2
    assert (tuning.level, told) == ("full", [])
    assert is_marked(family)


def test_while_requests_may_wait_nothing_is_tried_that_takes_minutes(
    tmp_path: Path, adapted: Adapted
) -> None:
    family, slow, tried = adapted("StableDiffusionPipeline"), Marked(), dict[str, str]()
    slow.slow = True
    tunings = planted("full", tmp_path / "new", (slow,))
    tunings.hurried = True

    tuning = tunings.tune(family, calls(family), lambda trial: tried.update({trial.mode: trial.why}))

    assert tried["marked"].startswith("takes long")
    assert (tuning.level, not is_marked(family)) == ("quick", True)
    # A worker that starts has the time, and tries it.
    assert planted("full", tmp_path / "new").kept(family.model.spec) is None


def test_again_forgets_what_was_known_however_thorough(found: dict[str, Path], adapted: Adapted) -> None:
    family, told = adapted("StableDiffusionPipeline"), list[Trial]()

    planted("quick", found["full"]).tune(family, calls(family), told.append, again=True)

    assert len(told) > 0
    assert [kept.level for kept in TuningFile(found["full"]).read().values()] == ["quick"]


def test_what_no_longer_applies_is_found_anew_from_the_plain_form(
    found: dict[str, Path], adapted: Adapted
) -> None:
    family, file, told = adapted("StableDiffusionPipeline"), TuningFile(found["full"]), list[bool]()
    ((identity, kept),) = file.read().items()
    # Of a later version: the decoder runs in a mode that this one does not know.
    unknown = kept.decode.model_copy(update={"modes": ("unknown",)})
    file.keep(identity, kept.model_copy(update={"decode": unknown}))

    planted("full", file.path).tune(family, calls(family), plan=lambda _: told.append(is_marked(family)))

    assert told == [False]
    assert [each.decode.modes for each in file.read().values()] == [()]


def test_a_file_that_cannot_be_written_costs_no_more_than_the_next_start(
    tmp_path: Path, adapted: Adapted
) -> None:
    (tmp_path / "file").write_text("")
    family, tunings = adapted("StableDiffusionPipeline"), planted("off", tmp_path / "file" / "tuning.json")

    with structlog.testing.capture_logs() as logs:
        tuning = tunings.tune(family, calls(family))

    assert tunings.known == {family.model.spec.name: tuning}
    assert [(log["event"], log["error"]) for log in logs] == [("tuning.not_kept", "File exists")]


def test_no_mode_is_begun_once_the_chosen_time_is_over(adapted: Adapted) -> None:
    family, choice = adapted("StableDiffusionPipeline"), TuningChoice("full", budget_s=0.0)

    tuning = Tunings(CPU, Caps(CPU), choice, FakeRecorder).tune(family, calls(family))

    tried = [trial for trial in tuning.denoise.trials if trial.mode != "plain"]
    assert {trial.why for trial in tried} == {"the time was over"}


def test_a_model_whose_plain_form_does_not_run_is_named(load_tiny: LoadTiny) -> None:
    model = load_tiny("StableDiffusionPipeline")

    def refuse(_module: object, _inputs: object) -> None:
        message = "out of memory\nand much more"
        raise torch.OutOfMemoryError(message)

    refusal = model.pipeline.unet.register_forward_pre_hook(refuse)
    try:
        # As on a GPU: nothing is tuned on a CPU.
        tunings = Tunings(torch.device("meta"), Caps(CPU), TuningChoice("off"), lambda: None)
        with pytest.raises(CatalogueError, match=r"^model 'other': .* OutOfMemoryError: out of memory$"):
            tunings.adapt(model)
    finally:
        refusal.remove()


def test_a_file_that_says_nothing_is_no_tuning(tmp_path: Path, adapted: Adapted) -> None:
    family, file = adapted("StableDiffusionPipeline"), tmp_path / "tuning.json"
    file.write_text('{"a": [1')

    tuning = Tunings(CPU, Caps(CPU), TuningChoice("off", file)).tune(family, calls(family))

    assert tuning.denoise.modes == ()
    assert [trial.mode for trial in tuning.denoise.trials] == ["plain"]


def test_a_shape_that_is_asked_often_is_recorded_when_nothing_is_drawn(
    tiny_catalogue: Catalogue, make_request: RequestMaker
) -> None:
    engine, recorder, asked = engine_of(tiny_catalogue), FakeRecorder(), make_request()
    engine.start()
    try:
        plain = engine.submit(asked, Recorder()).result(30).images
        family = engine._residents.adapter("tiny")
        assert family is not None
        for graphs in family.graphs:
            graphs.turn_on(recorder, (1, 2))
        engine.submit(make_request(seed=1, n=4), Recorder()).result(30)

        wait_until(lambda: family.denoiser.wanted(OFTEN) is None and recorder.recorded, what="an idle moment")
        again = engine.submit(asked, Recorder()).result(30).images
    finally:
        engine.close()

    assert again == plain
    assert any(each.played for each in recorder.recorded)


@every_family
def test_the_error_of_the_precision_itself_is_measured(adapted: Adapted, name: str) -> None:
    family = adapted(name)
    _, denoise, decode = stages_of(family, calls(family))

    for stage in (denoise, decode):
        assert stage.exact is not None
        assert relative_error(stage.run(1), stage.exact()) < 1e-5
