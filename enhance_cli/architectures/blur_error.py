r"""A likelihood of pictures that weighs errors of blur (document 004).

Section 2 of the document names the ingredients: blurring as a convolution with a kernel k, its
inverse in the frequency domain, and Wiener's regularised inverse,

    F*(k) / (|F(k)|^2 + C).

It ends before the loss, so that is derived here.

**From Wiener's filter to a Gaussian.** Let r = x - mu(z) be the error of a reconstruction, and B
the (circulant) matrix of a convolution with k. Wiener's filter is not just a recipe: it is the
solution of a least-squares problem,

    s*(r) = argmin_s |s|^2 + |r - B s|^2 / C,      F(s*) = F*(k) / (|F(k)|^2 + C) F(r),

that is: which sharp error s, blurred by k, explains the error r best, when what is left over costs
1 / C times as much? The value of that problem at its solution is what such an error costs. By the
matrix inversion lemma it is a quadratic form in r,

    min_s |s|^2 + |r - B s|^2 / C  =  r^T (B B^T + C I)^-1 r,

and a quadratic form with a positive matrix is all that a Gaussian needs. So p(x|z) is

    N(x; mu(z), Sigma(z)),      Sigma(z) = sigma^2 (B(z) B(z)^T + C I),

which reads: errors are white noise that has been blurred by k(z), and a little white noise beside.
Frequencies that the blur passes have a large variance, and errors there cost little; frequencies
that it takes away (the fine detail that a blurry reconstruction lacks) have the variance
sigma^2 C, and errors there cost up to 1 / C times as much. B is circulant, so the Fourier
transform makes it diagonal, and with n pixels of c channels

    -log p(x|z) = 1/2 sum_f |F(r)(f)|^2 / (n sigma^2 (|F(k)(f)|^2 + C))
                  + c/2 sum_f log(sigma^2 (|F(k)(f)|^2 + C)) + c n / 2 log(2 pi)

(the division by n is Parseval's). The log-determinant keeps the loss honest: a kernel that blurs
more makes errors of fine detail dearer, and pays nothing for it only if there are few of them.
Without it the network would choose the kernel for which all errors are cheap.

**Why not W^T W.** Taking Wiener's filter W itself as the square root of the precision gives the
eigenvalues |F(k)|^2 / (|F(k)|^2 + C)^2, which fall to 0 where k suppresses a frequency: errors of
the very detail that blur destroys would be free, and where F(k) is 0 there is no density at all.
The form above has W inside (s* is the deconvolved error), has no such hole, and becomes W^T W for
C -> 0.

**The kernel** is predicted from z, by a network of one hidden layer, since some pictures (beards,
hats, backgrounds) are blurred more than others. A softmax makes it non-negative with sum 1: it
blurs and cannot amplify, F(k)(0) is 1 and sigma^2 alone sets the scale. With k = delta the density
is the usual Gaussian with one variance for all pixels.

The kernel is meant to be the blur of the reconstruction, so its network is fitted to that: it
minimises |k(z) * x - mu(z)|^2 (``blur_distance``), with mu and z held still. Encoder, decoder and
sigma climb the bound of the log-likelihood, with k held still. For every k(z) the density is
normalised, so that the bound is a bound; this is a choice among bounds. The other choice is to let
k climb it too. That gives a higher bound, but kernels that fit the spectrum of all errors and not
the blur: they weigh the very finest frequencies, which a code of 64 numbers cannot predict, and not
the middle ones, by which an eye judges sharpness. On faces, 600 steps after 1,500 with k = delta
gave the following power of the reconstructions beyond 0.1 cycles per pixel, as a share of the
data's, and the following bounds in nats per value:

    600 more steps with k = delta                               0.32   0.82
    k climbs the bound (there C was 0.01 and sigma was slow)    0.31   1.43
    k is fitted to the blur                                     0.37   1.10
"""

import math

import torch
from torch import Tensor, nn

_HIDDEN = 64
# Standard deviation in pixels of the kernel with which training starts. It is far from the delta,
# and from a blur so strong that all its high frequencies are below C.
_FIRST_BLUR = 0.6
_FIRST_LOG = -2.0
# Adam moves a parameter by no more than its rate in a step. Sigma must follow the kernels within
# dozens of steps, not thousands, so it is the parameter times this factor.
_HASTE = 20.0


class _Scaled(nn.Module):
    """The standard deviation sigma, which both densities have."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(_FIRST_LOG / _HASTE))

    @property
    def log_deviation(self) -> Tensor:
        """log(sigma)."""
        log: Tensor = _HASTE * self.scale
        return log


class WhiteGaussian(_Scaled):
    """The density N(x; mu(z), sigma^2 I) with a learnt sigma, which weighs all errors alike."""

    def negative_log(self, x: Tensor, estimate: Tensor, z: Tensor) -> Tensor:
        """-log p(x|z) in nats, (N,).

        Args:
            x, estimate: pictures and means of the density, (N, C, H, W).
            z: codes (N, D), which do not matter to this density.
        """
        error = (x - estimate).to(self.scale.dtype).square().flatten(1)
        log_variance = 2 * self.log_deviation + math.log(2 * math.pi)
        scaled = error.sum(1) * torch.exp(-2 * self.log_deviation)
        total: Tensor = (scaled + error.shape[1] * log_variance) / 2
        return total


class BlurGaussian(_Scaled):
    """The density N(x; mu(z), sigma^2 (B(z) B(z)^T + C I)); see the module's docstring.

    Args:
        latent: number of dimensions of z.
        side: side of the kernels, odd and at most that of the pictures.
        wiener: the constant C.
    """

    def __init__(self, latent: int, side: int, wiener: float) -> None:
        super().__init__()
        self.side, self.wiener = side, wiener
        self.hidden = nn.Linear(latent, _HIDDEN)
        self.logits = nn.Linear(_HIDDEN, side * side)
        place = torch.arange(side) - side // 2
        with torch.no_grad():
            self.logits.weight.mul_(0.1)
            self.logits.bias.copy_(
                -(place[:, None] ** 2 + place**2).flatten() / (2 * _FIRST_BLUR**2)
            )

    def kernels(self, z: Tensor) -> Tensor:
        """Compute non-negative kernels (N, side, side) of sum 1 for codes (N, D)."""
        dtype = self.scale.dtype  # Autocast may change that of the two layers.
        hidden = torch.relu(self.hidden(z.to(dtype)))
        weights: Tensor = self.logits(hidden).to(dtype).softmax(1)
        return weights.view(-1, self.side, self.side)

    def variances(self, z: Tensor, height: int, width: int) -> Tensor:
        """Compute the eigenvalues of Sigma(z), (N, height, width), in the order of ``fft2``."""
        return self._variances(self.kernels(z), height, width)

    def _variances(self, kernels: Tensor, height: int, width: int) -> Tensor:
        # The place of a kernel's centre changes only the phase of its transform.
        gain = torch.fft.fft2(kernels, s=(height, width)).abs().square()
        variances: Tensor = torch.exp(2 * self.log_deviation) * (gain + self.wiener)
        return variances

    def blur_distance(self, x: Tensor, estimate: Tensor, z: Tensor) -> Tensor:
        """Squared distance of blurred pictures from their reconstructions, |B(z) x - mu(z)|^2.

        Args:
            x, estimate, z: see ``negative_log``. Only the kernels have a gradient.

        Returns:
            (N,).
        """
        kernels = self.kernels(z.detach())
        half = self.side // 2
        blurred = torch.fft.ifft2(
            torch.fft.fft2(x.to(kernels.dtype)) * torch.fft.fft2(kernels, s=x.shape[-2:])[:, None]
        ).real.roll((-half, -half), (2, 3))
        distance: Tensor = (blurred - estimate.detach()).square().flatten(1).sum(1)
        return distance

    def negative_log(self, x: Tensor, estimate: Tensor, z: Tensor) -> Tensor:
        """-log p(x|z) in nats, (N,).

        Args:
            x, estimate: pictures and means of the density, (N, C, H, W), at least as large as
                the kernels.
            z: codes (N, D).
        """
        channels, height, width = x.shape[1:]
        variances = self._variances(self.kernels(z).detach(), height, width)
        error = (x - estimate).to(self.log_deviation.dtype)
        power = torch.fft.fft2(error, norm="ortho").abs().square().sum(1)
        log_variances = variances.log() + math.log(2 * math.pi)
        cost: Tensor = power / variances + channels * log_variances
        return cost.flatten(1).sum(1) / 2
