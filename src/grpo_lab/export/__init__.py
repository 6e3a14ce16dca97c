"""Take a trained model home: the adapter, one merged model, a GGUF, an Ollama Modelfile; on the disk, on Drive, on the hub.

The parts: `sizes` says what an export takes before anything is loaded, `merge` makes the adapter's copy and the merged model,
`compare` holds two models against each other, `gguf` and `ollama` are for the programs of these names, `hub` uploads, and
`notebook` is what notebook 03 calls. Call `runs.choose_backend` before this package is imported.
"""

from grpo_lab.export.compare import Comparison
from grpo_lab.export.gguf import Reading, export_gguf, find_converter, read_gguf
from grpo_lab.export.hub import open_repository, push
from grpo_lab.export.merge import export_adapter, export_merged, load_merged
from grpo_lab.export.notebook import offers_markdown, read_order, take_home
from grpo_lab.export.ollama import export_modelfile, go_template, modelfile

__all__ = [
    "Comparison",
    "Reading",
    "export_adapter",
    "export_gguf",
    "export_merged",
    "export_modelfile",
    "find_converter",
    "go_template",
    "load_merged",
    "modelfile",
    "offers_markdown",
    "open_repository",
    "push",
    "read_gguf",
    "read_order",
    "take_home",
]
