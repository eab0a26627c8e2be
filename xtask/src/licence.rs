//! Licences of every dependency, on every platform, against the list in `deny.toml`.
//!
//! The same list serves cargo-deny; this check needs nothing but cargo.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::process::{self, Outcome};
use crate::workspace::Workspace;

/// One line per package whose licence is not allowed.
pub(crate) fn findings(workspace: &Workspace) -> Outcome<Vec<String>> {
    let text = fs::read_to_string(workspace.root().join("deny.toml"))
        .map_err(|error| format!("deny.toml: {error}"))?;
    let allowed = allowed(&text)?;
    let mut command = workspace.cargo("metadata");
    let metadata: Value = serde_json::from_str(&process::read(command.args(["--format-version", "1"]))?)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    Ok(packages.iter().filter_map(|package| finding(package, &allowed)).collect())
}

fn finding(package: &Value, allowed: &BTreeSet<String>) -> Option<String> {
    let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
    let Some(expression) = package["license"].as_str() else {
        return Some(format!("{name} states no licence expression"));
    };
    match satisfied(expression, allowed) {
        Ok(true) => None,
        Ok(false) => Some(format!("{name}: {expression} is not satisfied by the list in deny.toml")),
        Err(why) => Some(format!("{name}: {expression:?} is not a licence expression: {why}")),
    }
}

/// The strings of `allow = [...]` in the section `[licenses]`.
fn allowed(deny: &str) -> Outcome<BTreeSet<String>> {
    let lines = deny.lines().map(|line| line.split('#').next().unwrap_or_default());
    let section: String = lines
        .skip_while(|line| line.trim() != "[licenses]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .collect::<Vec<_>>()
        .join("\n");
    let list = section
        .split_once("allow = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .ok_or("deny.toml has no `allow = [...]` in [licenses]")?;
    Ok(list.0.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Whether an SPDX expression can be met by the allowed licences; `/` is read as `OR`, as it once was written.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> Outcome<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut tokens = spaced.split_whitespace().peekable();
    let met = either(&mut tokens, allowed)?;
    match tokens.next() {
        None => Ok(met),
        Some(token) => Err(format!("{token:?} is one too many")),
    }
}

type Tokens<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> Outcome<bool> {
    let mut met = both(tokens, allowed)?;
    while tokens.next_if_eq(&"OR").is_some() {
        met |= both(tokens, allowed)?;
    }
    Ok(met)
}

fn both(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> Outcome<bool> {
    let mut met = one(tokens, allowed)?;
    while tokens.next_if_eq(&"AND").is_some() {
        met &= one(tokens, allowed)?;
    }
    Ok(met)
}

fn one(tokens: &mut Tokens<'_>, allowed: &BTreeSet<String>) -> Outcome<bool> {
    match tokens.next() {
        None => Err("it ends too early".to_owned()),
        Some("(") => {
            let met = either(tokens, allowed)?;
            tokens.next_if_eq(&")").map(|_| met).ok_or_else(|| "a parenthesis is not closed".to_owned())
        }
        Some(word @ (")" | "OR" | "AND" | "WITH")) => Err(format!("{word:?} stands where a licence should")),
        Some(name) if tokens.next_if_eq(&"WITH").is_some() => {
            let exception = tokens.next().ok_or("WITH names no exception")?;
            // An exception grants more: the bare licence being allowed is enough.
            Ok(allowed.contains(name) || allowed.contains(&format!("{name} WITH {exception}")))
        }
        Some(name) => Ok(allowed.contains(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn expressions_are_met_as_spdx_says() {
        let allowed = set(&["MIT", "Apache-2.0", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"]);
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "GPL-2.0 OR MIT AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert_eq!(satisfied(good, &allowed), Ok(true), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR Apache-2.0) AND MPL-2.0",
            "GPL-2.0 WITH Classpath-exception-2.0",
        ] {
            assert_eq!(satisfied(bad, &allowed), Ok(false), "{bad}");
        }
    }

    #[test]
    fn an_exception_is_only_allowed_with_its_licence() {
        let allowed = set(&["Apache-2.0 WITH LLVM-exception"]);
        assert_eq!(satisfied("Apache-2.0 WITH LLVM-exception", &allowed), Ok(true));
        assert_eq!(satisfied("Apache-2.0", &allowed), Ok(false));
    }

    #[test]
    fn nonsense_is_refused_and_not_taken_for_a_licence() {
        for nonsense in ["", "MIT OR", "(MIT", "MIT MIT", "OR MIT", "MIT)", "MIT WITH"] {
            assert!(satisfied(nonsense, &set(&["MIT"])).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn the_list_is_read_from_its_section_without_comments() {
        let deny = "[bans]\nallow = [\"no\"]\n[licenses]\n# allow = [\"never\"]\nallow = [\n  \"MIT\", # ours\n  \"0BSD\",\n]\n[sources]\n";
        assert_eq!(allowed(deny), Ok(set(&["MIT", "0BSD"])));
        assert!(allowed("[bans]\nallow = [\"no\"]\n").is_err());
    }

    #[test]
    fn a_package_without_an_expression_is_a_finding() {
        let package = serde_json::json!({"name": "x", "version": "1.0.0", "license": null});
        assert_eq!(
            finding(&package, &set(&["MIT"])).as_deref(),
            Some("x 1.0.0 states no licence expression")
        );
        let package = serde_json::json!({"name": "x", "version": "1.0.0", "license": "MIT"});
        assert_eq!(finding(&package, &set(&["MIT"])), None);
    }
}
