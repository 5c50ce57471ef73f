#!/usr/bin/env python3
"""MGPNet in PyTorch, as a PyTorch user would write it: what satin is compared with.

    bench/torch_mgpnet.py forward --size 512x384 [--layout nhwc] [--dtype bf16] [--compile]
    bench/torch_mgpnet.py train --size 128x128 --batch 8 [--device cuda]
    bench/torch_mgpnet.py check --model model.safetensors --input x.png --output y.png

The first two print one JSON line: median and minimum of --repeat runs after one warm-up (three on a
GPU), peak memory of the process; on a GPU that of its tensors instead.  `check` computes what `mgpnet smooth x.png -o y.png -m model.safetensors`
should have written and prints how far the two pictures differ: the peer is the same network.
Needs PyTorch and NumPy (check: Pillow).  Modules have the names of the released checkpoint.
"""
import argparse
import contextlib
import json
import resource
import statistics
import struct
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.LayerNorm):
    """Along channels, for [N, C, H, W]."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Gate(nn.Module):
    """a * (P LN(b) + p + 1) for the halves a, b of [N, C, groups, pixels] (or pixels, groups)."""

    def __init__(self, channels, pixels, along):
        super().__init__()
        self.layernorm = Norm(channels)
        self.linear = nn.Conv2d(pixels, pixels, 1)
        self.along = along

    def forward(self, x):
        a, b = x.chunk(2, 1)
        b = self.layernorm(b).transpose(1, self.along)  # the mixed axis takes the place of channels
        return a * (self.linear(b).transpose(1, self.along) + 1)


class Branch(nn.Module):
    """A gMLP over blocks of size x size pixels, or over the size x size pixels of a coarse grid."""

    def __init__(self, channels, size, is_grid):
        super().__init__()
        self.size, self.is_grid = size, is_grid
        self.layernorm = Norm(channels)
        self.y_ope = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.GELU(),
                                   Gate(channels, size * size, 2 if is_grid else 3),
                                   nn.Conv2d(channels, channels, 1))

    def forward(self, image):
        n, c, h, w = image.shape
        s = self.size
        cell = (h // s, w // s) if self.is_grid else (s, s)
        cells = image.reshape(n, c, h // cell[0], cell[0], w // cell[1], cell[1])
        x = cells.transpose(3, 4).reshape(n, c, -1, cell[0] * cell[1])
        x = x + self.y_ope(self.layernorm(x))
        cells = x.reshape(n, c, h // cell[0], w // cell[1], *cell)
        return cells.transpose(3, 4).reshape(n, c, h, w)


class MultiAxis(nn.Module):
    def __init__(self, channels, size):
        super().__init__()
        self.layernorm = Norm(channels)
        self.x_ope = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1), nn.GELU())
        self.GridGmlpLayer = Branch(channels, size, True)
        self.BlockGmlpLayer = Branch(channels, size, False)
        self.linear = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x):
        u, v = self.x_ope(self.layernorm(x)).chunk(2, 1)
        return x + self.linear(torch.cat([self.GridGmlpLayer(u), self.BlockGmlpLayer(v)], 1))


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels // 4, 1)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.conv2(F.relu(self.conv1(x.mean((2, 3), keepdim=True)))))


class Rcab(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layernorm = Norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.CALayer = Attention(channels)

    def forward(self, x):
        return x + self.CALayer(self.conv2(F.leaky_relu(self.conv1(self.layernorm(x)), 0.2)))


class Wrapped(nn.Module):
    """A layer under one more name, as the checkpoint has it."""

    def __init__(self, name, layer):
        super().__init__()
        self.add_module(name, layer)

    def forward(self, x):
        return next(self.children())(x)


class Groups(nn.Module):
    def __init__(self, channels, size):
        super().__init__()
        self.groups_list = nn.Sequential(MultiAxis(channels, size), Rcab(channels),
                                         MultiAxis(channels, size), Rcab(channels))

    def forward(self, x):
        return x + self.groups_list(x)


def coder(inputs, channels, size):
    return nn.Sequential(Wrapped("conv", nn.Conv2d(inputs, channels, 1)), Groups(channels, size))


def fusion():
    main = lambda *layers: Wrapped("main", nn.Sequential(*layers))
    return Wrapped("conv", nn.Sequential(main(nn.Conv2d(224, 16, 1), nn.ReLU()),
                                         main(nn.Conv2d(16, 16, 3, padding=1))))


def half(x):
    return x[:, :, ::2, ::2]


def twice(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


class MGPNet(nn.Module):
    def __init__(self):
        super().__init__()
        conv3 = lambda inputs, outputs: nn.Conv2d(inputs, outputs, 3, padding=1)
        self.EncoderBlock1 = coder(3, 32, 16)
        self.EncoderBlock2 = coder(48, 64, 16)
        self.EncoderBlock3 = coder(80, 128, 8)
        self.DecoderBlock3 = coder(128, 128, 8)
        self.DecoderBlock2 = coder(144, 64, 16)
        self.DecoderBlock1 = coder(80, 32, 16)
        self.enConv2, self.enConv3 = conv3(3, 16), conv3(3, 16)
        self.deConv1, self.deConv2, self.deConv3 = conv3(32, 3), conv3(64, 3), conv3(128, 3)
        self.ds1 = Wrapped("convDown", nn.Conv2d(32, 32, 2, stride=2))
        self.ds2 = Wrapped("convDown", nn.Conv2d(64, 64, 2, stride=2))
        self.us2 = Wrapped("convUp", nn.ConvTranspose2d(64, 64, 2, stride=2))
        self.us3 = Wrapped("convUp", nn.ConvTranspose2d(128, 128, 2, stride=2))
        self.AFF1, self.AFF2 = fusion(), fusion()

    def forward(self, y1):
        y2 = half(y1)
        y3 = half(y2)
        e1 = self.EncoderBlock1(y1)
        e2 = self.EncoderBlock2(torch.cat([self.ds1(e1), self.enConv2(y2)], 1))
        e3 = self.EncoderBlock3(torch.cat([self.ds2(e2), self.enConv3(y3)], 1))
        m1 = self.AFF1(torch.cat([e1, twice(e2), twice(twice(e3))], 1))
        m2 = self.AFF2(torch.cat([half(e1), e2, twice(e3)], 1))
        d3 = self.DecoderBlock3(e3)
        d2 = self.DecoderBlock2(torch.cat([self.us3(d3), m2], 1))
        d1 = self.DecoderBlock1(torch.cat([self.us2(d2), m1], 1))
        return y1 + self.deConv1(d1), y2 + self.deConv2(d2), y3 + self.deConv3(d3)


def multi_scale_l1(outputs, target):
    loss = 0
    for x in outputs:
        loss = loss + (x - target).abs().mean()
        target = half(target)
    return loss


def load_safetensors(path):
    data = open(path, "rb").read()
    (size,) = struct.unpack("<Q", data[:8])
    state = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            kind = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[entry["dtype"]]
            raw = bytearray(data[8 + size + begin:8 + size + end])
            state[name] = torch.frombuffer(raw, dtype=kind).reshape(entry["shape"]).float()
    return state


def check(args):
    import numpy as np
    from PIL import Image
    model = MGPNet().eval()
    model.load_state_dict(load_safetensors(args.model))
    picture = np.asarray(Image.open(args.input).convert("RGB"), dtype=np.float32) / 255
    x = torch.from_numpy(picture).permute(2, 0, 1)[None]
    h, w = x.shape[2:]
    if h % 64 or w % 64:
        sys.exit("torch_mgpnet: check needs a picture whose sides are multiples of 64")
    with torch.inference_mode():
        y = model(x)[0][0].permute(1, 2, 0).clamp(0, 1).numpy()
    written = np.asarray(Image.open(args.output).convert("RGB"), dtype=np.float32)
    levels = np.abs(np.rint(y * 255) - written)
    print(json.dumps({"pixels": int(levels.size), "differing": int((levels > 0).sum()),
                      "largest_difference_levels": float(levels.max())}))
    return 0 if levels.max() <= 1 else 1


def measure(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    w, h = map(int, args.size.split("x"))
    layout = torch.channels_last if args.layout == "nhwc" else torch.contiguous_format
    on_gpu = args.device == "cuda"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    model = MGPNet().to(args.device, memory_format=layout)
    x = torch.rand(args.batch, 3, h, w).to(args.device).contiguous(memory_format=layout)
    target = torch.rand(args.batch, 3, h, w).to(args.device).contiguous(memory_format=layout)
    net = torch.compile(model) if args.compile else model
    cast = lambda: (torch.autocast(args.device, dtype=torch.bfloat16) if args.dtype == "bf16"
                    else contextlib.nullcontext())
    adam = torch.optim.Adam(model.parameters(), lr=2e-4)

    def forward():
        with torch.inference_mode(), cast():
            net(x)

    def train():
        adam.zero_grad()
        with cast():
            outputs = net(x)
        multi_scale_l1([y.float() for y in outputs], target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        adam.step()

    step = forward if args.what == "forward" else train
    for _ in range(3 if on_gpu else 1):
        step()
    seconds = []
    for _ in range(args.repeat):
        wait()
        start = time.perf_counter()
        step()
        wait()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"peer": f"torch {torch.__version__}", "what": args.what, "size": args.size,
                      "batch": args.batch, "precision": args.dtype, "layout": args.layout,
                      "compile": args.compile, "threads": args.threads,
                      "median_s": statistics.median(seconds), "min_s": min(seconds),
                      **({"device": torch.cuda.get_device_name(),
                          "device_bytes": torch.cuda.max_memory_allocated()} if on_gpu else
                         {"rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})}))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["forward", "train", "check"])
    parser.add_argument("--size", default="512x384")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nchw")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--model")
    parser.add_argument("--input")
    parser.add_argument("--output")
    args = parser.parse_args()
    return check(args) if args.what == "check" else measure(args)


if __name__ == "__main__":
    sys.exit(main())
