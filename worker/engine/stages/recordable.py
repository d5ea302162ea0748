"""A module whose runs can be recorded, wherever it is called from: text encoders are called by pipelines."""

from typing import Any

import torch

from worker.engine.stages.graphs import Graphs
from worker.engine.stages.inputs import Inputs


class Recordable:
    """Stands in for a module's ``forward``. All tensors that it is given must have an entry for each text."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
        self._plain = module.forward
        self.graphs: Graphs[Any] = Graphs(self._run)

    def install(self) -> None:
        """Take the place of the module's own ``forward``."""
        self._module.forward = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the module's own
        """Run the module, or play what was recorded of it."""
        given = {**{str(place): value for place, value in enumerate(args)}, **kwargs}
        batched = {name: value for name, value in given.items() if isinstance(value, torch.Tensor)}
        return self.graphs(Inputs(batched, {name: v for name, v in given.items() if name not in batched}))

    def _run(self, inputs: Inputs) -> Any:  # noqa: ANN401 - as the module's own
        given = {**inputs.batched, **inputs.shared}
        places = sorted((name for name in given if name.isdecimal()), key=int)
        named = {name: value for name, value in given.items() if not name.isdecimal()}
        return self._plain(*(given[place] for place in places), **named)
