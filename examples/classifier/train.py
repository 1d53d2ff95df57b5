#!/usr/bin/env python3
"""Trains the classifier of examples/models/tenon-digits: once in float, and once more for each pair of bit widths with
quantisation in the forward pass. Nothing needs it but whoever wants to make the weights again.

    python3.10 -m venv venv
    venv/bin/pip install torch==1.12.1 numpy==1.26.4 scikit-learn==1.3.2 safetensors==0.4.5
    venv/bin/python examples/classifier/train.py > examples/models/tenon-digits/training_log.txt

Seeds and threads are fixed, so a run on one machine repeats itself; other processors may round otherwise.
"""
import pathlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

OUT = pathlib.Path(__file__).resolve().parent.parent / "models" / "tenon-digits"
CHANNELS = [1, 16, 16, 24, 24, 32]
STRIDES = [1, 1, 2, 1, 2]
EPS = 1e-5
IMAGE_SCALE = 1 / 16  # pixels are 0..16: codes of the images are exact

torch.manual_seed(0)
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


class RepVggBlock(nn.Module):
    """relu(norm(conv3x3(x)) + norm(conv1x1(x)) + norm(x)); the last one where the shape stays."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.spatial = nn.ModuleDict({"conv": nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
                                      "norm": nn.BatchNorm2d(outputs, EPS)})
        self.pointwise = nn.ModuleDict({"conv": nn.Conv2d(inputs, outputs, 1, stride, 0, bias=False),
                                        "norm": nn.BatchNorm2d(outputs, EPS)})
        self.identity = nn.BatchNorm2d(outputs, EPS) if inputs == outputs and stride == 1 else None

    def forward(self, x):
        y = self.spatial["norm"](self.spatial["conv"](x)) + self.pointwise["norm"](self.pointwise["conv"](x))
        return F.relu(y if self.identity is None else y + self.identity(x))

    def folded(self):
        """The same function as one 3x3 convolution: weight and bias, in double."""
        def scale_shift(norm):
            s = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
            return s, norm.bias.double() - s * norm.running_mean.double()
        s, b = scale_shift(self.spatial["norm"])
        w = self.spatial["conv"].weight.double() * s[:, None, None, None]
        s1, b1 = scale_shift(self.pointwise["norm"])
        w[:, :, 1, 1] += self.pointwise["conv"].weight.double()[:, :, 0, 0] * s1[:, None]
        b = b + b1
        if self.identity is not None:
            s0, b0 = scale_shift(self.identity)
            w[:, :, 1, 1] += torch.diag(s0)
            b = b + b0
        return w.detach().float(), b.detach().float()


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(RepVggBlock(i, o, s) for i, o, s in zip(CHANNELS, CHANNELS[1:], STRIDES))
        self.head = nn.Linear(CHANNELS[-1], 10)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class LearnedStep(torch.autograd.Function):
    """s clamp(round(x / s), low, high) with the gradients of Esser et al., "Learned step size quantization", 2020."""

    @staticmethod
    def forward(context, x, s, low, high):
        context.save_for_backward(x, s)
        context.range = low, high
        return torch.clamp(torch.round(x / s), low, high) * s

    @staticmethod
    def backward(context, gradient):
        x, s = context.saved_tensors
        low, high = context.range
        v = x / s
        inside = (v >= low) & (v <= high)
        by_step = torch.where(inside, torch.round(v) - v, torch.clamp(v, low, high)) * gradient
        shared = [d for d in range(x.dim()) if s.dim() == 0 or s.shape[d] == 1]
        values = x.numel() // s.numel()
        return gradient * inside, by_step.sum(shared, keepdim=s.dim() > 0) / (values * high) ** 0.5, None, None


class QuantisedBlock(nn.Module):
    """relu(conv3x3(q(x), q(w)) + b): a step per output channel of w, one step of all x."""

    def __init__(self, block, stride, weight_bits, input_high, input_scale):
        super().__init__()
        w, b = block.folded()
        self.stride, self.input_high = stride, input_high
        self.weight_high = 2 ** (weight_bits - 1) - 1
        self.weight, self.bias = nn.Parameter(w), nn.Parameter(b)
        self.weight_scale = nn.Parameter(w.abs().amax((1, 2, 3), keepdim=True) / self.weight_high)
        self.input_scale = nn.Parameter(torch.tensor(input_scale), requires_grad=input_high > 0)

    def quantised_weight(self):
        return LearnedStep.apply(self.weight, self.weight_scale, -self.weight_high - 1, self.weight_high)

    def forward(self, x):
        if self.input_high:
            x = LearnedStep.apply(x, self.input_scale, -self.input_high - 1, self.input_high)
        return F.relu(F.conv2d(x, self.quantised_weight(), self.bias, self.stride, 1))


class QuantisedNetwork(nn.Module):
    def __init__(self, network, weight_bits, input_bits, images):
        super().__init__()
        high = 2 ** (input_bits - 1) - 1
        blocks, x = [], images
        with torch.no_grad():
            for i, (block, stride) in enumerate(zip(network.blocks, STRIDES)):
                scale = float(x.max()) / high if i else IMAGE_SCALE
                blocks.append(QuantisedBlock(block, stride, weight_bits, high if i else 0, scale))
                x = block(x)
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(CHANNELS[-1], 10)
        self.head.load_state_dict(network.head.state_dict())

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


def shifted(x, generator):
    """Each image moved by up to one pixel."""
    padded = F.pad(x, (1, 1, 1, 1))
    by = torch.randint(0, 3, (len(x), 2), generator=generator)
    return torch.stack([p[:, r:r + 8, c:c + 8] for p, (r, c) in zip(padded, by.tolist())])


@torch.no_grad()
def right(network, x, y):
    network.eval()
    return int((network(x).argmax(1) == y).sum())


def train(network, x, y, epochs, rate, seed, decay=1e-3):
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    batch, steps = 64, epochs * (len(x) // 64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        network.train()
        total = 0.0
        order = torch.randperm(len(x), generator=generator)
        for first in range(0, len(x) // batch * batch, batch):
            of = order[first:first + batch]
            loss = F.cross_entropy(network(shifted(x[of], generator)), y[of])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss)
        if epoch % 10 == 9:
            print(f"  epoch {epoch + 1:3}  loss {total / (len(x) // batch):.4f}", flush=True)


def main():
    digits = load_digits()
    pixels = digits.images.astype(np.uint8)
    fit, held = train_test_split(np.arange(len(pixels)), test_size=450, random_state=0, stratify=digits.target)
    images = torch.from_numpy(pixels[:, None].astype(np.float32)) / 16
    labels = torch.from_numpy(digits.target)
    x, y, held_x, held_y = images[fit], labels[fit], images[held], labels[held]
    print(f"{len(fit)} images to train on, {len(held)} held out")

    print("float")
    network = Network()
    train(network, x, y, 60, 5e-3, 1)
    print(f"  {right(network, x, y)} of {len(x)}, held out {right(network, held_x, held_y)} of {len(held_x)}")
    save = {k: v.contiguous() for k, v in network.state_dict().items() if "num_batches" not in k}
    save_file(save, str(OUT / "model.safetensors"))

    calibration = fit[:128]
    as_u8 = lambda of: torch.from_numpy(pixels[of])
    save_file({"test.images": as_u8(held), "test.labels": torch.from_numpy(digits.target[held].astype(np.uint8)),
               "calibration.images": as_u8(calibration)}, str(OUT / "digits.safetensors"))

    for weight_bits, input_bits in ((8, 8), (4, 4)):
        print(f"w{weight_bits}a{input_bits}")
        quantised = QuantisedNetwork(network, weight_bits, input_bits, images[calibration])
        print(f"  before: held out {right(quantised, held_x, held_y)} of {len(held_x)}")
        train(quantised, x, y, 40, 1e-3, 2, decay=0.0)
        print(f"  {right(quantised, x, y)} of {len(x)}, held out {right(quantised, held_x, held_y)} of {len(held_x)}")
        save = {"head.weight": quantised.head.weight.data, "head.bias": quantised.head.bias.data}
        for i, block in enumerate(quantised.blocks):
            save[f"blocks.{i}.weight"] = block.quantised_weight().data.contiguous()
            save[f"blocks.{i}.bias"] = block.bias.data
            save[f"blocks.{i}.weight_scale"] = block.weight_scale.data.reshape(-1, 1).contiguous()
            save[f"blocks.{i}.input_scale"] = block.input_scale.data.reshape(1)
        save_file(save, str(OUT / f"qat_w{weight_bits}a{input_bits}.safetensors"))


main()
