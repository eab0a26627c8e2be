//! Fear: engrams and pictures that say something else than the data, or that a file's name can break.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use crate::bed::{Bed, fields, noise};

const ESTIMATE: [&str; 5] = ["high", "low", "samples", "standard_error", "value"];

#[test]
fn two_parties_compare_without_the_data() {
    let bed = Bed::new();
    let (a, b) = (noise(1, 400_000), noise(2, 400_000));
    bed.write("mine/both", &a);
    bed.write("mine/only", &b);
    bed.write("theirs/same", &a);
    let report = bed.json(&["engram", "mine", "-o", "mine.engram"]);
    assert_eq!(fields(&report), ["bytes", "complete", "distinct", "features", "sampled"]);
    assert_eq!(report["bytes"], fs::metadata(bed.path("mine.engram")).unwrap().len());
    bed.ok(&["engram", "theirs", "-o", "theirs.engram"]);
    let found = bed.json(&["similarity", "theirs.engram", "mine.engram"]);
    assert_eq!(
        fields(&found),
        ["cosine", "cosine_standard_error", "first_in_second", "jaccard", "second_in_first"]
    );
    assert_eq!(fields(&found["jaccard"]), ESTIMATE);
    assert!(found["first_in_second"]["high"].as_f64().unwrap() > 0.99);
    let half = |name: &str| (found[name]["value"].as_f64().unwrap() - 0.5).abs() < 0.08;
    assert!(half("jaccard") && half("second_in_first"), "{found}");
    assert!(
        bed.ok(&["similarity", "theirs", "mine.engram"]).text().contains("first is in second     100.00 %")
    );

    // Sums and differences are those of the contents.
    bed.ok(&["engram", "mine", "--without", "theirs.engram", "-o", "rest.engram"]);
    bed.ok(&["engram", "mine/only", "-o", "only.engram"]);
    let found = bed.json(&["similarity", "rest.engram", "only.engram"]);
    assert_eq!((&found["jaccard"]["value"], &found["cosine"]), (&json!(1.0), &json!(1.0)));
}

#[test]
fn standard_input_and_the_store_give_the_same_engram_as_the_file() {
    let bed = Bed::new();
    bed.write("data/f", noise(3, 200_000));
    bed.write("data/g", noise(4, 9_000));
    bed.ok(&["ingest", "data"]);
    bed.ok(&["engram", "data/f", "-o", "f.engram"]);
    let piped = bed.feed(&["engram", "-", "-o", "-"], &noise(3, 200_000));
    assert_eq!(piped.stdout, fs::read(bed.path("f.engram")).unwrap());
    assert_eq!(bed.ok(&["engram", "--stored", "data/f", "-o", "-"]).stdout, piped.stdout);
    let everything = bed.ok(&["engram", "--stored", "-o", "-", "--version", "1"]);
    assert_eq!(bed.ok(&["engram", "data", "-o", "-"]).stdout, everything.stdout);
    // An engram file that is piped is taken as one.
    let found = bed.feed(&["similarity", "-", "f.engram", "--json"], &piped.stdout);
    assert_eq!(found.json()["cosine"], 1.0);
}

#[test]
fn engrams_need_no_store_and_damaged_ones_are_refused() {
    let bed = Bed::new();
    bed.write("f", noise(5, 50_000));
    let no_store =
        |arguments: &[&str]| crate::bed::Answer::of(bed.command(arguments).env_remove("ENGRAMS_STORE"));
    assert_eq!(no_store(&["engram", "f", "-o", "f.engram"]).status, 0);
    assert_eq!(no_store(&["similarity", "f", "f.engram"]).status, 0);
    assert!(no_store(&["engram", "--stored"]).line(2).contains("no store"));
    let mut bytes = fs::read(bed.path("f.engram")).unwrap();
    bytes[100] ^= 1;
    bed.write("bad.engram", &bytes);
    assert!(bed.run(&["similarity", "bad.engram", "f"]).line(1).contains("damaged"));
    bytes[7] = 9;
    bed.write("newer.engram", &bytes);
    assert!(bed.run(&["similarity", "newer.engram", "f"]).line(1).contains("format 9"));
    assert!(bed.run(&["engram", "missing"]).line(1).contains("missing"));
    bed.run(&["engram"]).line(2);
    bed.run(&["engram", "f", "--version", "1"]).line(2);
    bed.run(&["similarity", "-", "-"]).line(2);
}

#[test]
fn diff_tells_what_changed_and_how_much() {
    let bed = Bed::new();
    bed.write("t/keep", noise(1, 50_000));
    bed.write("t/change", [noise(2, 50_000), noise(3, 50_000)].concat());
    bed.write("t/old-name", noise(4, 50_000));
    bed.ok(&["ingest", "t"]);
    bed.write("t/change", [noise(2, 50_000), noise(5, 50_000)].concat());
    fs::rename(bed.path("t/old-name"), bed.path("t/new-name")).unwrap();
    bed.write("t/sub/new", "new");
    bed.ok(&["ingest", "t"]);
    let found = bed.json(&["diff", "1", "2"]);
    assert_eq!(fields(&found), ["after", "before", "counts", "directories", "paths"]);
    let line = |path: &str| {
        found["paths"].as_array().unwrap().iter().find(|line| line["path"] == path).cloned().unwrap()
    };
    assert_eq!(
        (&line("t/sub/new")["change"], &line("t/new-name")["change"]),
        (&json!("added"), &json!("renamed"))
    );
    assert_eq!(line("t/new-name")["from"]["path"], "t/old-name");
    let change = line("t/change");
    assert_eq!(change["change"], "changed");
    assert!((change["similarity"]["first_in_second"]["value"].as_f64().unwrap() - 0.5).abs() < 0.1);
    assert_eq!(found["counts"]["renamed"], 1);
    let text = bed.ok(&["diff", "1", "2", "t/change"]);
    assert!(text.text().contains(" ~ ") && !text.text().contains("new-name"), "{}", text.text());
    assert!(bed.ok(&["diff", "2", "2"]).text().contains("do not differ"));
    bed.run(&["diff", "1", "9"]).line(1);
    bed.run(&["diff", "1", "2", "nowhere"]).line(1);
}

#[test]
fn drift_draws_and_names_a_jump() {
    let bed = Bed::new();
    for version in 0..5_u64 {
        bed.write("t/a", [noise(1, 200_000), noise(10 + version, 20_000)].concat());
        bed.ok(&["ingest", "t"]);
    }
    bed.write("t/a", noise(99, 220_000));
    bed.ok(&["ingest", "t"]);
    let found = bed.json(&["drift", "t"]);
    assert_eq!((fields(&found), &found["jumps"]), (vec!["jumps", "steps"], &json!([6])));
    assert_eq!(fields(&found["steps"][1]), ["from_before", "from_first", "jump", "time", "version"]);
    let text = bed.ok(&["drift", "t", "--svg", "drift.svg"]);
    assert!(
        text.text().contains("JUMP") && text.text().ends_with("jumps in version 6: see `engrams diff`\n")
    );
    let svg = fs::read_to_string(bed.path("drift.svg")).unwrap();
    assert!(svg.contains("jump in 6") && svg.starts_with("<svg"));
    assert_eq!(bed.json(&["drift", "--last", "2"])["steps"].as_array().unwrap().len(), 2);
    bed.run(&["drift", "nowhere"]).line(1);
}

#[test]
fn a_map_is_one_file_that_no_name_can_break() {
    let bed = Bed::new();
    let hostile = [
        &b"<script>alert(1)</script>"[..],
        b"\"><img src=x onerror=alert(1)>",
        b"</title></svg><script>",
        b"a&b'c\"d",
        b"style=\"fill:url(http://x)\"",
        b"line\nbreak",
        b"\xff\xfe",
        "\u{202e}gpj.exe".as_bytes(),
    ];
    fs::create_dir_all(bed.path("t")).unwrap();
    for (at, name) in hostile.iter().enumerate() {
        let name = String::from_utf8_lossy(name).replace('/', "\u{2215}").into_bytes();
        let name = if hostile[at] == b"\xff\xfe" { hostile[at].to_vec() } else { name };
        fs::write(bed.path("t").join(std::ffi::OsStr::from_bytes(&name)), noise(at as u64 / 2, 30_000))
            .unwrap();
    }
    bed.ok(&["ingest", "t"]);
    let found = bed.json(&["map", "-o", "map.html"]);
    assert_eq!(fields(&found), ["files", "groups", "version"]);
    assert_eq!(fields(&found["groups"][0]), ["contents", "files", "size", "stored"]);
    assert_eq!(found["groups"].as_array().unwrap().len(), 4, "each content is there twice");
    let html = fs::read_to_string(bed.path("map.html")).unwrap();
    // Only what the page itself is made of; quotes, brackets and ampersands of names are entities.
    let tags = [
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "input", "label", "div", "svg",
        "rect", "text", "table", "tr", "th", "td", "span", "br", "!DOCTYPE",
    ];
    for tag in html.split('<').skip(1) {
        let name: &str = tag.trim_start_matches('/').split([' ', '>', '\n']).next().unwrap();
        assert!(tags.contains(&name), "<{tag}");
    }
    for (text, why) in [("<script", "no script"), ("<img", "no images"), ("<link", "no links")] {
        assert!(!html.contains(text), "{why}");
    }
    assert!(html.contains("default-src 'none'") && html.contains("&lt;script&gt;alert(1)"));
    // Outside of text, nothing names a resource but the namespace of SVG.
    let markup = html.split('<').skip(1).filter_map(|tag| tag.split('>').next());
    for tag in markup.filter(|tag| !tag.starts_with("style")) {
        assert!(!tag.replace("http://www.w3.org/2000/svg", "").contains("://"), "<{tag}>");
        assert!(!tag.contains(" on") && !tag.contains("src=") && !tag.contains("href="), "<{tag}>");
    }
    let text = bed.ok(&["map"]);
    assert!(text.text().contains("8 of 8 files are in 4 groups"), "{}", text.text());
    bed.run(&["map", "nowhere"]).line(1);
}
