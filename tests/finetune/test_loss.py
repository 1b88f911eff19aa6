from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.finetune.batches import Layout
from qwen3ft_jupyter.finetune.samples import IGNORED, Sample
from qwen3ft_jupyter.loading.offline import quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.train

VOCABULARY = 211
SAMPLES = [
    Sample.of(range(start, start + 24), [*[IGNORED] * 9, *range(start + 9, start + 24)]) for start in (3, 60, 90)
]


def make(*, tied: bool, adapter: bool) -> Any:
    """A small Qwen3 whose losses are far from uniform."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(1)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            tie_word_embeddings=tied,
            initializer_range=0.3,
            use_cache=False,
        )
    )
    if adapter:
        shape = {"r": 4, "target_modules": ["q_proj", "down_proj"], "init_lora_weights": False}
        with quiet_libraries():
            model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **shape))
    return model


def loss_and_gradients(model: Any, loss: Any) -> tuple[float, dict[str, Any]]:
    model.zero_grad()
    loss.backward()
    gradients = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    return loss.item(), gradients


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("head", ["tied", "untied"])
@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
def test_loss_and_every_gradient_are_those_of_the_model_itself(
    head: str, method: str, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwen3ft_jupyter.finetune.compute import loss as lean
    from qwen3ft_jupyter.finetune.compute.objectives import TokenLoss

    monkeypatch.setattr(lean, "CHUNK_ELEMENTS", rows_at_once * VOCABULARY)
    layout = Layout(pad_id=0, most_tokens=1000)
    step = layout.collate(SAMPLES)
    (batch,) = step["micro_batches"]
    model = make(tied=head == "tied", adapter=method == "lora")
    expected, theirs = loss_and_gradients(model, model(**batch).loss)

    found, ours = loss_and_gradients(model, TokenLoss(layout, is_lean=True).share(model, batch, step)[0])

    assert found == pytest.approx(expected, rel=1e-5)
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        assert (gradient - theirs[name]).abs().max() <= 1e-5 * theirs[name].abs().max(), name


def test_under_autocast_products_are_16_bit_and_sums_are_not() -> None:
    import torch

    from qwen3ft_jupyter.finetune.compute.loss import HeadWeights, summed_cross_entropy

    torch.manual_seed(0)
    hidden, weight = torch.randn(300, 16, requires_grad=True), torch.randn(50, 16, requires_grad=True)
    targets = torch.arange(300) % 50
    with torch.autocast("cpu", torch.bfloat16):
        expected = torch.nn.functional.cross_entropy((hidden @ weight.T).float(), targets, reduction="sum")
        found = summed_cross_entropy(hidden, HeadWeights(weight), targets, chunk=64)

    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    found.backward()
    assert (hidden.grad.dtype, weight.grad.dtype) == (torch.float32, torch.float32)


def test_the_heads_gradient_is_summed_in_float32() -> None:
    """Of 4,096 equal rows in bfloat16: added up one by one in eight bits, most would be lost."""
    import torch

    from qwen3ft_jupyter.finetune.compute.loss import HeadWeights, summed_cross_entropy

    hidden = torch.ones(4096, 4, dtype=torch.bfloat16)
    weight = torch.zeros(3, 4, dtype=torch.bfloat16, requires_grad=True)

    summed_cross_entropy(hidden, HeadWeights(weight), torch.zeros(4096, dtype=torch.long), chunk=1).backward()

    assert weight.grad[0, 0].item() == pytest.approx(-4096 * 2 / 3, rel=0.01)


def test_a_tenth_of_the_memory_at_the_vocabulary_of_qwen3() -> None:
    """Counted on tensors without contents: 2,048 tokens, half of them learned, and 151,936 words."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers.loss.loss_utils import ForCausalLMLoss

    from qwen3ft_jupyter.finetune.compute.loss import HeadWeights, summed_cross_entropy

    with FakeTensorMode():
        hidden = torch.empty(1, 2048, 1024, requires_grad=True)
        weight = torch.empty(151_936, 1024)
        labels = torch.zeros(1, 2048, dtype=torch.long)
        theirs = peak(lambda: ForCausalLMLoss(hidden @ weight.T, labels, 151_936).backward(), weight)
        head = HeadWeights(weight)
        ours = peak(lambda: summed_cross_entropy(hidden[0, :1024], head, labels[0, :1024]).backward(), weight)

    assert theirs > 2 * 2048 * 151_936 * 4
    assert ours < theirs / 10


def peak(work: Callable[[], object], *known: Any) -> int:
    """Return the most bytes that tensors held at once while `work` made them, those in `known` left out."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Counting(TorchDispatchMode):  # type: ignore[misc]  # the train extra has no types
        live: int = 0
        most: int = 0

        def __init__(self) -> None:
            super().__init__()
            self.owners = {tensor.untyped_storage()._cdata: 1 for tensor in known}

        def __torch_dispatch__(
            self, func: Callable[..., object], _types: object, args: Any = (), kwargs: Any = None
        ) -> object:
            result = func(*args, **(kwargs or {}))
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    self.add(storage._cdata, storage.nbytes())
                    weakref.finalize(tensor, self.drop, storage._cdata, storage.nbytes())
            self.most = max(self.most, self.live)
            return result

        def add(self, storage: int, size: int) -> None:
            self.owners[storage] = self.owners.get(storage, 0) + 1
            self.live += size if self.owners[storage] == 1 else 0

        def drop(self, storage: int, size: int) -> None:
            self.owners[storage] -= 1
            self.live -= size if self.owners[storage] == 0 else 0

    with Counting() as counting:
        work()
    most: int = counting.most
    return most
