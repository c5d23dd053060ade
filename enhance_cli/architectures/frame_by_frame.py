"""Networks for pictures that enlarge videos."""

from torch import Tensor, nn

from enhance_cli.architectures.frvsr import VideoNetwork, VideoState
from enhance_cli.architectures.spec import Contract


class FrameByFrame(VideoNetwork):
    """A network for pictures, run on each frame of a video by itself, without memory.

    Args:
        network: for pictures, with its config and contract; it takes the place of SRNet.
    """

    def __init__(self, network: nn.Module) -> None:
        nn.Module.__init__(self)
        contract = network.contract
        assert isinstance(contract, Contract)
        self.config = network.config  # type: ignore[assignment]
        self.srnet = network  # type: ignore[assignment]
        self.contract = Contract(scale=contract.scale, tiling="forbidden")

    def _make_srnet(self) -> nn.Module:  # type: ignore[override]
        return self.srnet

    def condition(
        self, frame_lr: Tensor, state: VideoState | None, following: Tensor | None = None
    ) -> Tensor:
        """The frame itself."""
        return frame_lr
