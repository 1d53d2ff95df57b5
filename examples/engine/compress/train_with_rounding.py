#!/usr/bin/env python3
"""Quantisation-aware training of a small model: teaches a checkpoint to live with int4 weights, and leaves scales that
`tenon compress --quantize w4a16 --scales learned` takes. Nothing needs it but whoever wants to train.

    venv/bin/pip install torch==1.12.1 numpy==1.26.4 safetensors==0.4.5
    venv/bin/python examples/engine/compress/train_with_rounding.py MODEL OUT [STEPS]

MODEL is a Llama-architecture folder with model.safetensors in f32 and a tied head. It teaches itself: it says texts at
temperature 1, and the rounded model learns to predict what the plain one predicts there (Kullback-Leibler divergence).
Scales are learned with the weights, one for 32 columns of a row (Esser et al., "Learned step size quantization", 2020).
Embedding and norms stay as they are. OUT gets the tokenizer files, weights that lie on the grid of their scales, and
the scales.
"""
import json
import pathlib
import shutil
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

GROUP, LOW, HIGH = 32, -8, 7
TEXTS, LENGTH, BATCH, RATE = 512, 256, 8, 1e-3

torch.manual_seed(0)
torch.set_num_threads(1)


class Rounded(torch.autograd.Function):
    """s clamp(round(w / s)); the gradient passes where nothing saturates, and s learns from what it does."""

    @staticmethod
    def forward(context, w, s):
        context.save_for_backward(w, s)
        return torch.clamp(torch.round(w / s), LOW, HIGH) * s

    @staticmethod
    def backward(context, gradient):
        w, s = context.saved_tensors
        v = w / s
        inside = (v >= LOW) & (v <= HIGH)
        step = torch.where(inside, torch.round(v) - v, torch.clamp(v, LOW, HIGH)) * gradient
        return gradient * inside, step.sum(-1, keepdim=True) / (GROUP * HIGH) ** 0.5


def grouped(w):
    """(rows, columns) -> (rows, groups, 32), zeros behind a row's end."""
    return F.pad(w, (0, -w.shape[1] % GROUP)).reshape(w.shape[0], -1, GROUP)


def best_scale(w):
    """Of each group: the size with the least squared error, of either sign."""
    cells, largest = grouped(w), grouped(w).abs().amax(-1, keepdim=True).clamp(min=1e-8)
    best, least = None, None
    for size in [1 / 8 * (1.15 - 0.0275 * i) for i in range(21)]:
        for sign in (1, -1):
            s = sign * size * largest
            error = ((torch.clamp(torch.round(cells / s), LOW, HIGH) * s - cells) ** 2).sum(-1, keepdim=True)
            if best is None:
                best, least = s.clone(), error
            else:
                best, least = torch.where(error < least, s, best), torch.minimum(error, least)
    return best


class Model:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.tensors = load_file(str(folder / "model.safetensors"))
        c = self.config
        self.heads, self.kv_heads = c["num_attention_heads"], c["num_key_value_heads"]
        self.width = c.get("head_dim") or c["hidden_size"] // self.heads
        angle = torch.outer(torch.arange(LENGTH).float(),
                            c.get("rope_theta", 1e4) ** (-torch.arange(0, self.width, 2).float() / self.width))
        self.cos, self.sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
        self.modules = [n[:-len(".weight")] for n in self.tensors if n.endswith("_proj.weight")]

    def norm(self, x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"]) * self.tensors[name]

    def rotate(self, x, first):
        half, end = self.width // 2, first + x.shape[-2]
        return x * self.cos[first:end] + torch.cat([-x[..., half:], x[..., :half]], -1) * self.sin[first:end]

    def logits(self, ids, weights, cache=None):
        """(batch, tokens, vocabulary); a cache holds the keys and values of earlier tokens."""
        batch, tokens = ids.shape
        first = cache[0][0].shape[2] if cache and cache[0] else 0
        x = self.tensors["model.embed_tokens.weight"][ids]
        mask = torch.ones(tokens, first + tokens, dtype=torch.bool).tril(first)
        for i in range(self.config["num_hidden_layers"]):
            p = f"model.layers.{i}."
            h = self.norm(x, p + "input_layernorm.weight")
            split = lambda name, heads: F.linear(h, weights[p + "self_attn." + name]).view(
                batch, tokens, heads, self.width).transpose(1, 2)
            q, k = self.rotate(split("q_proj", self.heads), first), self.rotate(split("k_proj", self.kv_heads), first)
            v = split("v_proj", self.kv_heads)
            if cache is not None:
                if cache[i]:
                    k, v = torch.cat([cache[i][0], k], 2), torch.cat([cache[i][1], v], 2)
                cache[i] = (k, v)
            k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
            score = (q @ k.transpose(-1, -2) / self.width ** 0.5).masked_fill(~mask, -torch.inf)
            y = (score.softmax(-1) @ v).transpose(1, 2).reshape(batch, tokens, -1)
            x = x + F.linear(y, weights[p + "self_attn.o_proj"])
            h = self.norm(x, p + "post_attention_layernorm.weight")
            gate, up = F.linear(h, weights[p + "mlp.gate_proj"]), F.linear(h, weights[p + "mlp.up_proj"])
            x = x + F.linear(F.silu(gate) * up, weights[p + "mlp.down_proj"])
        return F.linear(self.norm(x, "model.norm.weight"), self.tensors["model.embed_tokens.weight"])

    @torch.no_grad()
    def texts(self, weights):
        ids = torch.full((TEXTS, 1), self.config["bos_token_id"])
        cache, last = [()] * self.config["num_hidden_layers"], ids
        for _ in range(LENGTH - 1):
            last = torch.multinomial(self.logits(last, weights, cache)[:, -1].softmax(-1), 1)
            ids = torch.cat([ids, last], 1)
        return ids


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 60
    model = Model(source)
    plain = {n: model.tensors[n + ".weight"] for n in model.modules}
    texts = model.texts(plain)
    print(f"{len(texts)} texts of {LENGTH} tokens", flush=True)

    weights = {n: w.clone().requires_grad_() for n, w in plain.items()}
    scales = {n: best_scale(w).requires_grad_() for n, w in plain.items()}
    rounded = lambda: {n: Rounded.apply(grouped(w), scales[n]).flatten(1)[:, :w.shape[1]] for n, w in weights.items()}
    optimizer = torch.optim.Adam([{"params": list(weights.values()), "lr": RATE},
                                  {"params": list(scales.values()), "lr": RATE / 10}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order, mean = torch.randperm(len(texts)), 0.0
    for step in range(steps):
        ids = texts[order[torch.arange(step * BATCH, (step + 1) * BATCH) % len(texts)]]
        with torch.no_grad():
            wanted = model.logits(ids, plain).log_softmax(-1)
        got = model.logits(ids, rounded()).log_softmax(-1)
        loss = (wanted.exp() * (wanted - got)).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean += float(loss) / 20
        if step % 20 == 19:
            print(f"step {step + 1:4}  divergence {mean:.4f} in the mean of 20 steps", flush=True)
            mean = 0.0

    out.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.name.startswith(("tokenizer", "special_tokens", "config.json", "generation_config.json")):
            shutil.copy(file, out)
    tensors = dict(model.tensors)
    with torch.no_grad():
        for name, w in rounded().items():
            tensors[name + ".weight"] = w.contiguous()
            tensors[name + ".weight_scale"] = scales[name][..., 0].contiguous()
    save_file(tensors, str(out / "model.safetensors"), {"format": "pt"})


main()
