//! A logo in a text: the part that holds it, and the paragraph that shows it.

use super::R;
use crate::brand::Logo;
use crate::write::markup::escaped;

/// The room that a logo has, in English metric units: 6 cm by 1.6 cm.
const ROOM: (u64, u64) = (6 * 360_000, 16 * 36_000);

const DRAWING: &str = "http://schemas.openxmlformats.org/drawingml/2006";

/// Where it stands, seen from the document.
pub fn target(logo: &Logo) -> String {
    format!("media/logo.{}", logo.picture.kind.end())
}

/// What kind of file it is.
pub fn content_type(logo: &Logo) -> String {
    let kind = logo.picture.kind;
    format!(
        "<Default Extension=\"{}\" ContentType=\"{}\"/>",
        kind.end(),
        kind.content_type()
    )
}

/// The paragraph; `relation` is the number under which the document knows the part.
pub fn paragraph(logo: &Logo, relation: usize) -> String {
    let (width, height) = logo.picture.within(ROOM.0, ROOM.1);
    let alt = escaped(&logo.alt);
    let size = format!("cx=\"{width}\" cy=\"{height}\"");
    format!(
        "<w:p><w:r><w:drawing>\
         <wp:inline xmlns:wp=\"{DRAWING}/wordprocessingDrawing\" distT=\"0\" distB=\"0\" distL=\"0\" distR=\"0\">\
         <wp:extent {size}/><wp:docPr id=\"1\" name=\"Logo\" descr=\"{alt}\"/>\
         <a:graphic xmlns:a=\"{DRAWING}/main\"><a:graphicData uri=\"{DRAWING}/picture\">\
         <pic:pic xmlns:pic=\"{DRAWING}/picture\"><pic:nvPicPr><pic:cNvPr id=\"1\" name=\"Logo\" descr=\"{alt}\"/><pic:cNvPicPr/></pic:nvPicPr>\
         <pic:blipFill><a:blip xmlns:r=\"{R}\" r:embed=\"rId{relation}\"/><a:stretch><a:fillRect/></a:stretch></pic:blipFill>\
         <pic:spPr><a:xfrm><a:off x=\"0\" y=\"0\"/><a:ext {size}/></a:xfrm><a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom></pic:spPr>\
         </pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )
}
