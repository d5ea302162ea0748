"""Where an image comes from, as it is written into its file: a model drew it, which one, and from what seed.

The prompt is the caller's own business: only its hash is told, which proves it to whoever knows it.
Source: the IPTC Photo Metadata Standard for the digital source type, XMP part 1 for the packet.
"""

from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import quoteattr

SOFTWARE: Final = "Darkroom"
TRAINED: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""That of a picture which was edited so."""

_PACKET: Final = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:darkroom="urn:darkroom:provenance"
    xmp:CreatorTool={software}
    Iptc4xmpExt:DigitalSourceType={source}
    darkroom:Model={model}
    darkroom:Seed={seed}
    darkroom:PromptSHA256={prompt_sha256}/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True)
class Provenance:
    """Of one image; ``prompt_sha256`` is the SHA-256 of the caller's prompt in UTF-8, in hex."""

    model: str
    seed: int
    prompt_sha256: str
    edited: bool = False
    """Whether it was made from other pictures."""

    @property
    def source(self) -> str:
        """The digital source type, of the IPTC's list."""
        return COMPOSITE if self.edited else TRAINED

    def texts(self) -> dict[str, str]:
        """Return it as the text chunks of a PNG."""
        return {
            "Software": SOFTWARE,
            "Source": self.source,
            "Model": self.model,
            "Seed": str(self.seed),
            "Prompt-SHA256": self.prompt_sha256,
        }

    def xmp(self) -> str:
        """Return it as an XMP packet. The same image has the same packet: there is no date in it."""
        return _PACKET.format(
            software=quoteattr(SOFTWARE),
            source=quoteattr(self.source),
            model=quoteattr(self.model),
            seed=quoteattr(str(self.seed)),
            prompt_sha256=quoteattr(self.prompt_sha256),
        )
