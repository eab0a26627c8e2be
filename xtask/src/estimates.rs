//! `cargo xtask engrams`: how often estimates of engrams lie within their errors on real trees, kept in
//! `docs/resemblance.md`.

use std::fs;

use crate::corpus;
use crate::process::{self, Outcome};
use crate::workspace::Workspace;

const PAGE: &str = "docs/resemblance.md";
const HEADING: &str = "## Engram estimates";

const INTRODUCTION: &str = "\
What `engrams similarity`, `diff` and `drift` tell are estimates of shares of distinct *features*: windows of 32 bytes, chosen
by their content, about one for every 160 bytes. An engram keeps the 1,024 smallest (less after subtractions), so with `x` of
`n` in common, sampled as a share `f` of all, the estimate is `p = x / n`, and its 95 % interval is Wilson's with
`m = n / (1 - f)`:

```text
(p + z^2/2m -+ z sqrt(p (1 - p)/m + z^2/4m^2)) / (1 + z^2/m)        z = 1.96
```

The standard error is half its width over 1.96: `sqrt(p (1 - p)/m)`, at most 1.6 % of a full sample, and not 0 at
`p` = 0 or 1. Contents with fewer than 1,024 features (some 160 KB) are compared exactly. The cosine of counters has the
standard error `(1 - rho^2) / sqrt(4096)`.

Against the truth, counted from all features: random pairs of directories of the releases of typescript, or of tokio, a random
share (20 to 100 %) of the files of each. Pairs of which both samples are complete are exact, and are not among the 1,000. Of
normal errors 68.3, 95.4 and 99.7 % are within 1, 2 and 3. Where the truth is near 0 or 1 more are: the stated error can't fall below
what one feature more or less makes. Pairs share files, and with them the errors that the features in these happen to have, so
the shares scatter more than those of 1,000 independent pairs would. Rows with *features renumbered* are of the same
pairs, each feature replaced by a hash of it and of the pair: what is left is the formula's own error. A few
more of these than the 0.3 % of normal errors lie beyond 3: shares that rest on few features are skewed.";

const LIMITS: &str = "\
Limits: the share of a small content that is in a much larger one rests on few features, the largest errors of containment
above, or on none: then it is said to be *unknown*. What an estimate can't tell: changes between two windows, order, and anything about contents without features (below
some hundred bytes, or constant).";

pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let mut example = workspace.cargo("run");
    example.args(["--release", "--quiet", "--package", "engrams-core", "--example", "estimates", "--"]);
    for history in [corpus::typescript(workspace)?, corpus::tokio(workspace)?] {
        example.args(history.versions.into_iter().map(|(_, directory)| directory));
    }
    let table = process::read(&mut example)?;
    println!("{table}");
    let section = format!(
        "{HEADING}\n\n{INTRODUCTION}\n\n{}\n\n`cargo xtask engrams` writes this.\n\n{LIMITS}\n",
        table.trim_end()
    );
    let page = workspace.root().join(PAGE);
    let old = fs::read_to_string(&page).unwrap_or_else(|_| "# Resemblance\n".to_owned());
    fs::write(&page, with_section(&old, &section)).map_err(|error| format!("{}: {error}", page.display()))
}

/// The page with this section in the place of the one before, or at its end.
fn with_section(page: &str, section: &str) -> String {
    let Some(start) = page.find(HEADING) else { return format!("{}\n\n{section}", page.trim_end()) };
    let rest = &page[start + HEADING.len()..];
    let after = rest.find("\n## ").map_or("", |at| &rest[at..]);
    format!("{}{section}{after}", &page[..start])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_is_replaced() {
        let section = format!("{HEADING}\n\nnew\n");
        let whole = with_section("# Page\n\nwords\n", &section);
        assert_eq!(whole, format!("# Page\n\nwords\n\n{section}"));
        assert_eq!(with_section(&whole, &section), whole);
        let between = with_section(&format!("# Page\n\n{HEADING}\n\nold\n\n## Next\n\nkept\n"), &section);
        assert_eq!(between, format!("# Page\n\n{section}\n## Next\n\nkept\n"));
    }
}
