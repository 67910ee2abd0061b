"""Five small neural vocoders, and the judges that teach four of them: the nets of scripts/weights/vocoders.py.

    hifigan  sound ─ mel, 80 bands ──────── upsampling convolutions ─────────────────────────────────▶ sound
    vocos    sound ─ mel, 100 bands ─────── frames, never upsampled ─▶ magnitude, phase ─ inverse STFT ▶ sound
    smooth   sound ─ mel ─ 6 … 16 numbers per two frames ─▶ mel ─ vocos ─────────────────────────────▶ sound
    codec    sound ─ strided convolutions ─ 2 … 8 codebooks of 1,024 ─ upsampling convolutions ──────▶ sound
    flow     noise ─ 6 … 10 steps of a straight flow, steered by the mel ─▶ STFT frames ─ inverse ───▶ sound

Each leaves the marks of its kind: hifigan (Kong et al. 2020) the images of its upsampling and the judges by period; vocos (Siuzdak 2023)
phases that are guessed cell by cell; smooth the blurred mels that text-to-speech hands its vocoder; codec (SoundStream, Zeghidour
et al. 2021; EnCodec, Défossez et al. 2022) what residual codebooks throw away; flow (rectified flow, Liu et al. 2022) a generator
without judges. Ideas only, in sizes that learn in minutes; no code or weights of these works.

All sound is (batch, samples) at 16 kHz and LEVEL. A net has `adversary`, how its judges are asked (None: has none);
`attempt(sound, progress)`, its copy while it learns, with a loss of its own; and `copy(sound)`, of the same length.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ffdv.detect.voice import RATE
from ffdv.features.spectrogram import FrontEndSpec, filter_bank

Adversary = Literal["least squares", "hinge"]
Seen = tuple[Tensor, list[Tensor]]  # a judge's opinion and what its layers saw

LEVEL = 0.07  # root mean square of every clip that a net sees


def exactly(like: Tensor) -> torch.autocast:
    """A context in which nothing is computed in half precision."""
    return torch.autocast(like.device.type, enabled=False)


# --- spectra -----------------------------------------------------------------------------------------------------------


class Stft(nn.Module):
    """samples / hop frames, frame i centred at (i + 1/2) hop, and the inverse."""

    window: Tensor

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop, self.pad = n_fft, hop, (n_fft - hop) // 2
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """Complex (batch, n_fft / 2 + 1, frames)."""
        after = self.n_fft - self.hop - self.pad
        padded = functional.pad(sound.float().unsqueeze(1), (self.pad, after), mode="reflect").squeeze(1)
        return torch.stft(padded, self.n_fft, self.hop, self.n_fft, self.window, center=False, return_complex=True)

    def inverse(self, spectrum: Tensor) -> Tensor:
        """(batch, frames * hop); n_fft must be a multiple of hop."""
        count = spectrum.shape[-1]
        frames = torch.fft.irfft(spectrum.transpose(1, 2), self.n_fft, dim=-1) * self.window
        weight = self._laid((self.window**2).expand(1, count, -1)).clamp(min=1e-3)
        return (self._laid(frames) / weight)[:, self.pad : self.pad + count * self.hop]

    def _laid(self, frames: Tensor) -> Tensor:
        overlap = self.n_fft // self.hop
        parts = frames.unflatten(2, (overlap, self.hop))  # (batch, frames, n_fft) -> (batch, frames, overlap, hop)
        shifted = [functional.pad(parts[:, :, i], (0, 0, i, overlap - 1 - i)) for i in range(overlap)]
        return torch.stack(shifted).sum(0).flatten(1)


class LogMel(nn.Module):
    """Natural logarithm of mel bands of the magnitude (batch, bands, frames)."""

    bank: Tensor

    def __init__(self, n_fft: int, hop: int, bands: int, top_hz: float = RATE / 2) -> None:
        super().__init__()
        self.stft = Stft(n_fft, hop)
        spec = FrontEndSpec(sample_rate=RATE, n_fft=n_fft, hop_length=hop, n_bands=bands, fmax=top_hz)
        self.register_buffer("bank", torch.tensor(filter_bank(spec).T.copy()), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """Of sound (batch, samples)."""
        with exactly(sound):
            spectrum = self.stft(sound)
            magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9)
            return torch.log((magnitude.transpose(1, 2) @ self.bank).clamp(min=1e-5)).transpose(1, 2)


class MelDistance(nn.Module):
    """Mean absolute difference of log-mels (batch,), the mean over several resolutions (n_fft, hop, bands)."""

    def __init__(self, sizes: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        self.mels = nn.ModuleList(LogMel(*size) for size in sizes)

    def forward(self, sound: Tensor, other: Tensor) -> Tensor:
        """Between sounds of one length."""
        return torch.stack([(mel(sound) - mel(other)).abs().mean(dim=(1, 2)) for mel in self.mels]).mean(0)


def scaled(mel: Tensor) -> Tensor:
    """A log-mel in about the range of ±1."""
    return (mel + 5.0) / 2.5


# --- hifigan -----------------------------------------------------------------------------------------------------------


def _upsampling(channels: int, stride: int) -> nn.Sequential:
    """`stride` times as long, half the channels; starts so that the variance stays."""
    conv = nn.ConvTranspose1d(channels, channels // 2, 2 * stride, stride, padding=stride // 2)
    nn.init.normal_(conv.weight, 0.0, math.sqrt(1.0 / channels))
    nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.ConstantPad1d((0, -(stride % 2)), 0.0))


class DilatedUnit(nn.Module):
    """Residual convolutions, each dilated further."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, width, padding=(width - 1) * d // 2, dilation=d) for d in (1, 3, 5)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        for conv in self.convs:
            x = x + conv(functional.leaky_relu(x, 0.1))
        return x


class HifiGan(nn.Module):
    """Mel frames of 16 ms, upsampled 8, 8, 2 and 2 times; three widths of dilated units after each."""

    adversary: Adversary | None = "least squares"

    def __init__(self) -> None:
        super().__init__()
        channels = 256
        self.mel = LogMel(1024, 256, 80, 7_600.0)
        self.first = nn.Conv1d(80, channels, 7, padding=3)
        self.ups, self.units = nn.ModuleList(), nn.ModuleList()
        for stride in (8, 8, 2, 2):
            self.ups.append(_upsampling(channels, stride))
            channels //= 2
            self.units.append(nn.ModuleList(DilatedUnit(channels, width) for width in (3, 7, 11)))
        self.last = nn.Conv1d(channels, 1, 7, padding=3)

    def attempt(self, sound: Tensor, progress: float) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """The copy; no loss of its own."""
        return self.copy(sound), sound.new_zeros(())

    def copy(self, sound: Tensor) -> Tensor:
        """Mel and back."""
        x = self.first(scaled(self.mel(sound)))
        for up, units in zip(self.ups, self.units, strict=True):
            x = up(functional.leaky_relu(x, 0.1))
            x = sum(unit(x) for unit in units) / 3
        with exactly(sound):
            return torch.tanh(self.last(functional.leaky_relu(x.float(), 0.01))).squeeze(1)


# --- vocos, and smooth, which is vocos behind a bottleneck -------------------------------------------------------------


class ConvNeXt(nn.Module):
    """A block of ConvNeXt over frames (batch, channels, frames); `shift` = scale and offset after the norm."""

    def __init__(self, channels: int, inner: int, share: float) -> None:
        super().__init__()
        self.depth = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.wide, self.thin = nn.Linear(channels, inner), nn.Linear(inner, channels)
        self.share = nn.Parameter(torch.full((channels,), share))

    def forward(self, x: Tensor, shift: Sequence[Tensor] = ()) -> Tensor:
        """Same shape."""
        inside = self.norm(self.depth(x).transpose(1, 2))
        if shift:
            inside = inside * (1 + shift[0]) + shift[1]
        inside = self.share * self.thin(functional.gelu(self.wide(inside)))
        return x + inside.transpose(1, 2)


class FrameNet(nn.Module):
    """Frames (batch, inputs, n) through ConvNeXt blocks to frames (batch, outputs, n); the head in full precision."""

    def __init__(self, sizes: tuple[int, int, int, int], *, width: int, layers: int = 6) -> None:
        super().__init__()
        inputs, channels, inner, outputs = sizes
        self.embed = nn.Conv1d(inputs, channels, width, padding=width // 2)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.blocks = nn.ModuleList(ConvNeXt(channels, inner, 1 / layers) for _ in range(layers))
        self.last = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, outputs)

    def forward(self, x: Tensor, shift: Sequence[Tensor] = ()) -> Tensor:
        """`shift` goes to every block."""
        h = self.norm(self.embed(x).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            h = block(h, shift)
        with exactly(x):
            return self.head(self.last(h.transpose(1, 2).float())).transpose(1, 2)


class Vocos(nn.Module):
    """Mel frames of 10 ms to the magnitude and phase of the same frames."""

    adversary: Adversary | None = "hinge"

    def __init__(self) -> None:
        super().__init__()
        self.mel = LogMel(640, 160, 100)
        self.stft = Stft(640, 160)
        self.net = FrameNet((100, 384, 1152, 642), width=7)
        with torch.no_grad():
            self.net.head.bias[:321] -= 2.0  # starts near the level of speech

    def voiced(self, mel: Tensor) -> Tensor:
        """Sound of a log-mel (batch, 100, frames)."""
        out = self.net(scaled(mel))
        with exactly(mel):
            magnitude, phase = torch.exp(out[:, :321].clamp(max=4.6)), out[:, 321:]
            return self.stft.inverse(torch.complex(magnitude * torch.cos(phase), magnitude * torch.sin(phase)))

    def attempt(self, sound: Tensor, progress: float) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """The copy; no loss of its own."""
        return self.copy(sound), sound.new_zeros(())

    def copy(self, sound: Tensor) -> Tensor:
        """Mel and back."""
        return self.voiced(self.mel(sound))


class MelBottleneck(nn.Module):
    """A log-mel squeezed through at most TOP numbers per two frames, and back."""

    TOP = 16

    def __init__(self, bands: int = 100, channels: int = 256) -> None:
        super().__init__()
        self.down = nn.Sequential(
            *(nn.Conv1d(bands, channels, 5, padding=2), nn.GELU()),
            *(nn.Conv1d(channels, channels, 4, 2, padding=1), nn.GELU()),
            nn.Conv1d(channels, self.TOP, 3, padding=1),
        )
        self.up = nn.Sequential(
            *(nn.Conv1d(self.TOP, channels, 3, padding=1), nn.GELU()),
            *(nn.ConvTranspose1d(channels, channels, 4, 2, padding=1), nn.GELU()),
            *(nn.Conv1d(channels, channels, 5, padding=2), nn.GELU()),
            nn.Conv1d(channels, bands, 5, padding=2),
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Same shape; 6 to TOP numbers pass, drawn for each sound."""
        keep = torch.randint(6, self.TOP + 1, (len(mel),), device=mel.device)
        even = functional.pad(scaled(mel), (0, mel.shape[-1] % 2), mode="replicate")
        numbers = torch.tanh(self.down(even))
        numbers = numbers * (torch.arange(self.TOP, device=mel.device)[None, :, None] < keep[:, None, None])
        return self.up(numbers)[..., : mel.shape[-1]].float() * 2.5 - 5.0


class Smooth(nn.Module):
    """Vocos on mels that lost their detail, as an acoustic model's have."""

    adversary: Adversary | None = "hinge"

    def __init__(self) -> None:
        super().__init__()
        self.vocos = Vocos()
        self.squeeze = MelBottleneck()

    def attempt(self, sound: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """For a fifth of the time both learn, each on true mels; then the bottleneck rests and a quarter of the mels went through it."""
        mel = self.vocos.mel(sound)
        if progress < 0.2:
            lost = self.squeeze(mel) - mel
            return self.vocos.voiced(mel), 10.0 * (lost / 2.5).square().mean()
        some = max(1, len(sound) // 4)
        with torch.no_grad():
            squeezed = self.squeeze(mel[:some])
        return self.vocos.voiced(torch.cat([squeezed, mel[some:]])), sound.new_zeros(())

    def copy(self, sound: Tensor) -> Tensor:
        """Mel, bottleneck and back."""
        return self.vocos.voiced(self.squeeze(self.vocos.mel(sound)))


# --- codec -------------------------------------------------------------------------------------------------------------


class Quantiser(nn.Module):
    """Residual vector quantiser; codebooks follow moving averages of what falls to each code, dead codes restart."""

    codes: Tensor
    sums: Tensor
    count: Tensor

    def __init__(self, channels: int, *, books: int = 8, size: int = 1024, decay: float = 0.98) -> None:
        super().__init__()
        self.decay, self.started = decay, False
        self.register_buffer("codes", torch.randn(books, size, channels) * 0.1)
        self.register_buffer("sums", torch.zeros(books, size, channels))
        self.register_buffer("count", torch.ones(books, size))

    def forward(self, x: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, channels, frames) by the first keep (batch,) codebooks, gradients passed straight; and its squared error."""
        flat = x.transpose(1, 2).flatten(0, 1)  # (batch, channels, frames) -> (batch * frames, channels)
        keep = keep.repeat_interleave(x.shape[-1])
        rest, coded = flat.detach(), torch.zeros_like(flat)
        for number, book in enumerate(self.codes):
            if self.training and not self.started:
                book.copy_(self._drawn(rest))
                self.sums[number].copy_(book)
            nearest = (book.square().sum(1)[None] - 2 * rest @ book.t()).argmin(1)
            code = book[nearest]
            if self.training:
                self._follow(number, rest, nearest)
            coded = coded + code * (keep > number)[:, None]
            rest = rest - code
        self.started |= self.training
        error = (flat - coded).square().mean()
        coded = flat + (coded - flat).detach()
        return coded.unflatten(0, (len(x), -1)).transpose(1, 2), error

    def _drawn(self, rest: Tensor) -> Tensor:
        return rest[torch.randint(0, len(rest), (self.codes.shape[1],), device=rest.device)]

    def _follow(self, number: int, rest: Tensor, nearest: Tensor) -> None:
        sums, count = self.sums[number], self.count[number]
        count.lerp_(torch.zeros_like(count).index_add_(0, nearest, torch.ones_like(rest[:, 0])), 1 - self.decay)
        sums.lerp_(torch.zeros_like(sums).index_add_(0, nearest, rest), 1 - self.decay)
        dead = count < 0.15
        sums.copy_(torch.where(dead[:, None], self._drawn(rest), sums))
        count.masked_fill_(dead, 1.0)
        self.codes[number].copy_(sums / count.clamp(min=1e-3)[:, None])


class CodecUnit(nn.Module):
    """A dilated convolution and one of width 1 beside the way through."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(channels, channels // 2, 3, padding=dilation, dilation=dilation)
        self.narrow = nn.Conv1d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + self.narrow(functional.elu(self.wide(functional.elu(x))))


class Codec(nn.Module):
    """Frames of 20 ms in 64 numbers, quantised by 2 to 8 codebooks."""

    adversary: Adversary | None = "hinge"

    def __init__(self) -> None:
        super().__init__()
        channels, strides = 24, (2, 4, 5, 8)
        inward: list[nn.Module] = [nn.Conv1d(1, channels, 7, padding=3)]
        for stride in strides:
            inward += [CodecUnit(channels, 1), CodecUnit(channels, 3), nn.ELU()]
            inward += [nn.ConstantPad1d((stride // 2, stride - stride // 2), 0.0)]
            inward += [nn.Conv1d(channels, 2 * channels, 2 * stride, stride)]
            channels *= 2
        self.inward = nn.Sequential(*inward, nn.ELU(), nn.Conv1d(channels, 64, 3, padding=1))
        self.quantiser = Quantiser(64)
        outward: list[nn.Module] = [nn.Conv1d(64, channels, 7, padding=3)]
        for stride in reversed(strides):
            outward += [nn.ELU(), _upsampling(channels, stride)]
            channels //= 2
            outward += [CodecUnit(channels, dilation) for dilation in (1, 3, 9)]
        self.outward = nn.Sequential(*outward)
        self.last = nn.Conv1d(channels, 1, 7, padding=3)

    def coded(self, sound: Tensor, fewest: int) -> tuple[Tensor, Tensor]:
        """Sound by `fewest` to 8 codebooks, drawn for each; and the quantiser's error."""
        keep = torch.randint(fewest, 9, (len(sound),), device=sound.device)
        x = self.inward(sound.unsqueeze(1) / LEVEL * 0.3)
        with exactly(sound):
            x, error = self.quantiser(x.float(), keep)
        x = self.outward(x)
        with exactly(sound):
            return self.last(functional.elu(x.float())).squeeze(1) * LEVEL, error

    def attempt(self, sound: Tensor, progress: float) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """The copy; the quantiser's error, and a little of the waveform's, which ties the phase early."""
        copy, error = self.coded(sound, fewest=2)
        return copy, 2.0 * error + 2.0 * (sound - copy).abs().mean() / LEVEL

    def copy(self, sound: Tensor) -> Tensor:
        """Codes and back."""
        return self.coded(sound, fewest=3)[0]


# --- flow --------------------------------------------------------------------------------------------------------------


class Flow(nn.Module):
    """From noise (time 0) straight to STFT frames (time 1), magnitudes under a root; the net guesses the clean frames."""

    adversary: Adversary | None = None
    spread: Tensor
    back: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mel = LogMel(1024, 128, 80)
        self.stft = Stft(512, 128)
        self.distance = MelDistance([(1024, 256, 80), (512, 128, 48)])
        self.register_buffer("spread", torch.ones(257))
        bank = self.mel.bank  # (513, 80): from mel back to a smooth magnitude on every second bin
        back = bank / bank.sum(1, keepdim=True).clamp(min=1e-9) / bank.sum(0, keepdim=True)
        back[0], back[-1] = back[1], back[-2]
        self.register_buffer("back", back[::2].contiguous(), persistent=False)
        self.net = FrameNet((514 + 80, 512, 1024, 514), width=3)
        last = nn.Linear(512, 2 * 512)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.time = nn.Sequential(nn.Linear(64, 512), nn.SiLU(), last)

    @torch.no_grad()
    def prepare(self, sound: Tensor) -> None:
        """Measure the spread of each frequency, so that all cells have about unit variance."""
        frames = self._packed(sound, self._expected(self.mel(sound)))
        spread = (frames[:, :257].square() + frames[:, 257:].square()).mean(dim=(0, 2)).div(2).sqrt()
        self.spread.copy_(spread.clamp(min=float(spread.mean()) * 0.15))

    def attempt(self, sound: Tensor, progress: float) -> tuple[None, Tensor]:  # noqa: ARG002
        """No copy: that would take all steps. The error of the guess at times drawn, and how a quarter of the guesses sound."""
        with exactly(sound):
            mel = self.mel(sound)
            expected = self._expected(mel)
            clean = self._packed(sound, expected)
            time = torch.sigmoid(torch.randn(len(sound), device=sound.device) - 0.3).clamp(0.001, 0.98)
            share = time[:, None, None]
            noisy = share * clean + (1 - share) * torch.randn_like(clean)
        guess = self._guess(noisy, time, mel)
        with exactly(sound):
            weight = ((time.square() + (1 - time).square()) / (1 - time).square()).clamp(max=20.0)
            error = (weight * (guess - clean).square().mean(dim=(1, 2))).mean()
            some = max(1, len(sound) // 4)
            heard = self.distance(self._unpacked(guess[:some], expected[:some]), sound[:some])
            return None, error + 1.5 * (time[:some].square() * heard).mean()

    def copy(self, sound: Tensor) -> Tensor:
        """Noise led to the sound's mel in 6 to 10 steps."""
        mel = self.mel(sound)
        frames = torch.randn(len(sound), 514, mel.shape[-1], device=sound.device)
        steps = int(torch.randint(6, 11, ()))
        for step in range(steps):
            time = step / steps
            guess = self._guess(frames, torch.full((len(sound),), time, device=sound.device), mel)
            frames = frames + (guess - frames) / (1 - time) / steps
        return self._unpacked(frames, self._expected(mel))

    def _expected(self, mel: Tensor) -> Tensor:
        """What the mels say of each cell's size under the root (batch, 257, frames)."""
        return (self.back @ torch.exp(mel)).clamp(min=1e-3).sqrt() * self.spread[:, None]

    def _packed(self, sound: Tensor, expected: Tensor) -> Tensor:
        spectrum = self.stft(sound)
        cells = spectrum * (spectrum.real.square() + spectrum.imag.square() + 1e-9).pow(-0.25)
        return torch.cat([cells.real / expected, cells.imag / expected], 1)  # (batch, 514, frames)

    def _unpacked(self, frames: Tensor, expected: Tensor) -> Tensor:
        real, imaginary = frames[:, :257] * expected, frames[:, 257:] * expected
        root = torch.sqrt(real.square() + imaginary.square() + 1e-9)
        return self.stft.inverse(torch.complex(real * root, imaginary * root))

    def _guess(self, noisy: Tensor, time: Tensor, mel: Tensor) -> Tensor:
        """The clean frames, as a mixture of what is there and what the net says, so that its target has unit variance at any time."""
        turns = time[:, None] * torch.exp(torch.linspace(0, math.log(1000.0), 32, device=time.device))[None]
        shift = self.time(torch.cat([turns.sin(), turns.cos()], 1))[:, None, :].chunk(2, -1)
        said = self.net(torch.cat([noisy, scaled(mel)], 1), shift)
        with exactly(noisy):
            time = time[:, None, None]
            power = time.square() + (1 - time).square()
            return time / power * noisy + (1 - time) / power.sqrt() * said


Vocoder = HifiGan | Vocos | Smooth | Codec | Flow

# --- judges ------------------------------------------------------------------------------------------------------------


class Judge(nn.Module):
    """Convolutions over a picture of the sound (batch, channels, height, width): an opinion, and what each layer saw."""

    def __init__(self, widths: Sequence[int], kernel: tuple[int, int], step: int) -> None:
        super().__init__()
        height, width = kernel
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, kernel, (step, 1), (height // 2, width // 2)) for a, b in itertools.pairwise(widths)
        )
        self.out = nn.Conv2d(widths[-1], 1, (3, width), padding=(1, width // 2))

    def forward(self, x: Tensor) -> Seen:
        """Of one kind of picture."""
        features = []
        for conv in self.convs:
            x = functional.leaky_relu(conv(x), 0.1)
            features.append(x)
        return self.out(x), features


class Judges(nn.Module):
    """Four look at every 2nd, 3rd, 5th, 7th sample, three at complex STFT cells under a root; they tell real from copied."""

    PERIODS = (2, 3, 5, 7)

    def __init__(self, adversary: Adversary) -> None:
        super().__init__()
        self._squares = adversary == "least squares"
        self.by_period = nn.ModuleList(Judge((1, 16, 64, 128, 128), (5, 1), 3) for _ in self.PERIODS)
        self.stfts = nn.ModuleList(Stft(n_fft, n_fft // 4) for n_fft in (256, 512, 1024))
        self.by_spectrum = nn.ModuleList(Judge((2, 16, 32, 32, 32), (9, 3), 2) for _ in self.stfts)

    def forward(self, sound: Tensor) -> list[Seen]:
        """Of sound (batch, samples), one opinion a judge."""
        seen = []
        for period, judge in zip(self.PERIODS, self.by_period, strict=True):
            padded = functional.pad(sound.unsqueeze(1), (0, -sound.shape[1] % period), mode="reflect")
            seen.append(judge((padded / LEVEL * 0.5).unflatten(2, (-1, period))))
        for stft, judge in zip(self.stfts, self.by_spectrum, strict=True):
            with exactly(sound):
                spectrum = stft(sound)
                squash = (spectrum.real.square() + spectrum.imag.square() + 1e-5).pow(-0.25)
                cells = torch.stack([spectrum.real * squash, spectrum.imag * squash], 1)
            seen.append(judge(cells))
        return seen

    def loss(self, sound: Tensor, copy: Tensor) -> Tensor:
        """How badly real sounds and copies are told apart."""
        total = sound.new_zeros(())
        for opinion, _ in self(torch.cat([sound, copy.detach()])):
            real, made = opinion.float().split([len(sound), len(copy)])
            if self._squares:
                total = total + (1 - real).square().mean() + made.square().mean()
            else:
                total = total + functional.relu(1 - real).mean() + functional.relu(1 + made).mean()
        return total

    def distrust(self, sound: Tensor, copy: Tensor) -> Tensor:
        """How well copies are recognised, plus twice how far the layers' views of them are from those of the real sounds."""
        total = sound.new_zeros(())
        with torch.no_grad():
            real = self(sound)
        for (_, wanted), (opinion, got) in zip(real, self(copy), strict=True):
            said = opinion.float()
            total = total + ((1 - said).square().mean() if self._squares else -said.mean())
            for a, b in zip(wanted, got, strict=True):
                total = total + 2.0 * (a - b).abs().float().mean()
        return total
