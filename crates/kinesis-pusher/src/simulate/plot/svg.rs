//! SVG, as text.

use std::fmt::Write;

/// A drawing that grows.
#[derive(Debug)]
pub(super) struct Svg {
    text: String,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        let (width, height) = (px(width), px(height));
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
        );
        Self { text }
    }

    pub(super) fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(px);
        self.add(&format!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"));
    }

    /// A rectangle; `tip` is shown where the mouse rests, if there is one.
    pub(super) fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64, tip: &str) {
        let [x, y, width, height] = [x, y, width, height].map(px);
        let open =
            format!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"");
        if tip.is_empty() {
            self.add(&format!("{open}/>"));
        } else {
            self.add(&format!("{open}><title>{}</title></rect>", escaped(tip)));
        }
    }

    /// Text at `anchor` (`start`, `middle` or `end`) of its base line.
    pub(super) fn text(&mut self, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
        let (x, y, text) = (px(x), px(y), escaped(text));
        self.add(&format!(
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x}\" y=\"{y}\">{text}</text>"
        ));
    }

    /// A line through these points.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], closed: bool) {
        let mut d = String::new();
        for (index, &(x, y)) in points.iter().enumerate() {
            let verb = if index == 0 { 'M' } else { 'L' };
            write!(d, "{verb}{} {}", px(x), px(y)).expect("a String takes whatever is written to it");
        }
        if closed {
            d.push('Z');
        }
        self.add(&format!("<path class=\"{class}\" d=\"{d}\"/>"));
    }

    pub(super) fn finish(mut self) -> String {
        self.add("</svg>");
        self.text
    }

    fn add(&mut self, element: &str) {
        self.text.push_str(element);
        self.text.push('\n');
    }
}

/// A tenth of a pixel is exact enough, and the last digits of a float need not be the same everywhere.
fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Colours of the light half are those of the dark one but for their lightness. `h0` to `h9` are tenths of a shard's
/// limits, `t1` to `t3` are more than it takes.
const STYLE: &str = "
text{font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#57606a}
.title{font-size:17px;font-weight:600;fill:#1f2328}.head{font-weight:600;fill:#1f2328}.hot{fill:#b3261e;font-weight:600}
.note{font-size:11px}.paper{fill:#ffffff}.frame{fill:#f6f8fa}.grid{stroke:#d8dee4;stroke-width:1}
.mark{stroke:#57606a;stroke-width:1;stroke-dasharray:3 3}
path{fill:none;stroke-width:1.8;stroke-linejoin:round}path.shade{stroke:none!important;fill-opacity:.22}
path.offered{stroke:#8c959f;stroke-dasharray:5 3}text.offered{fill:#6e7781}
path.delivered{stroke:#0969da}text.delivered{fill:#0969da}
path.p50{stroke:#1a7f64}text.p50{fill:#1a7f64}path.p99{stroke:#bc4c00}text.p99{fill:#bc4c00}
path.throttled{stroke:#cf222e}.shade.throttled{fill:#cf222e}path.buffer{stroke:#8250df}.shade.buffer{fill:#8250df}
.h0{fill:#f1f5fa}.h1{fill:#deebf7}.h2{fill:#cde0f3}.h3{fill:#b7d4ed}.h4{fill:#9cc5e4}.h5{fill:#7db3da}
.h6{fill:#5f9fcf}.h7{fill:#438ac2}.h8{fill:#2c74b3}.h9{fill:#1a5ea0}.full{fill:#08407e}
.t1{fill:#f0883e}.t2{fill:#dc4a2a}.t3{fill:#a40e26}.hotbox{fill:none;stroke:#b3261e;stroke-width:1.5}
@media (prefers-color-scheme:dark){
text{fill:#9198a1}.title,.head{fill:#f0f6fc}.hot{fill:#ff7b72}.paper{fill:#0d1117}.frame{fill:#151b23}
.grid{stroke:#2a313c}.mark{stroke:#9198a1}
path.offered{stroke:#7d8590}text.offered{fill:#9198a1}path.delivered{stroke:#58a6ff}text.delivered{fill:#58a6ff}
path.p50{stroke:#3fb990}text.p50{fill:#3fb990}path.p99{stroke:#f0883e}text.p99{fill:#f0883e}
path.throttled{stroke:#ff6a69}.shade.throttled{fill:#ff6a69}path.buffer{stroke:#ab7df8}.shade.buffer{fill:#ab7df8}
.h0{fill:#161d27}.h1{fill:#17263a}.h2{fill:#18304c}.h3{fill:#1a3b60}.h4{fill:#1c4776}.h5{fill:#1f568f}
.h6{fill:#2566a8}.h7{fill:#3079c2}.h8{fill:#438edb}.h9{fill:#62a6ee}.full{fill:#a5d0ff}
.t1{fill:#f0a15e}.t2{fill:#f4633f}.t3{fill:#ff3b3b}.hotbox{stroke:#ff7b72}}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_the_drawing() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("note", "start", 1.25, 2.0, "a < b & c");
        let text = svg.finish();
        assert!(text.contains(
            "<text class=\"note\" text-anchor=\"start\" x=\"1.2\" y=\"2\">a &lt; b &amp; c</text>"
        ));
        assert!(text.ends_with("</svg>\n"));
    }
}
