//! Relative links of Markdown pages: each must lead to a file or directory that is there.

use std::path::Path;

/// The links of a page that lead nowhere, with their line numbers (from 1).
pub(crate) fn broken(page: &Path, text: &str) -> Vec<(usize, String)> {
    let directory = page.parent().unwrap_or(Path::new(""));
    let leads_nowhere = |(line, target): (usize, String)| {
        let path = target.split('#').next().unwrap_or_default();
        let found = path.is_empty() || directory.join(path).exists();
        (!found).then_some((line, target))
    };
    relative(text).into_iter().filter_map(leads_nowhere).collect()
}

/// Targets of inline and reference links that are neither URLs nor rustdoc paths, outside code.
fn relative(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        let line = without_code(line);
        let mut targets: Vec<&str> =
            line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            targets.push(target);
        }
        for target in targets {
            let target = target.split_whitespace().next().unwrap_or_default().trim_matches(['<', '>']);
            if !target.contains("://") && !target.starts_with("mailto:") && !target.contains("::") {
                found.push((index + 1, target.to_owned()));
            }
        }
    }
    found
}

/// The line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').enumerate().filter(|(index, _)| index % 2 == 0).map(|(_, part)| part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_links_are_told_from_the_rest() {
        let text = "\
[a](docs/a.md) and [b](../b.md#part \"title\"), [web](https://example.org/x.md), [here](#part)
`[code](no.md)` [`c`](c.md)
```
[fenced](no.md)
```
    [indented](no.md)
[ref]: d.md
";
        let targets: Vec<String> = relative(text).into_iter().map(|(_, target)| target).collect();
        assert_eq!(targets, ["docs/a.md", "../b.md#part", "#part", "c.md", "d.md"]);
    }

    #[test]
    fn a_link_to_nothing_is_found_with_its_line() {
        let scratch = crate::tree::Scratch::new("links").unwrap();
        std::fs::write(scratch.path().join("there.md"), "x").unwrap();
        let page = scratch.path().join("page.md");
        let text = "[ok](there.md#x)\n[top](#top)\n\n[no](gone.md)\n";
        assert_eq!(broken(&page, text), [(4, "gone.md".to_owned())]);
    }
}
