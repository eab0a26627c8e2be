//! `find` names what resembles the query, in which versions, and which bytes are the same.

use std::fs;

use crate::bed::{Bed, noise};

#[test]
fn a_snippet_is_found_in_the_versions_that_have_it() {
    let bed = Bed::new();
    let first = noise(1, 200_000);
    let second = [&first[..150_000], &noise(2, 60_000)].concat();
    for content in [&first, &second] {
        bed.write("t/data.bin", content);
        bed.write("t/same.bin", noise(3, 30_000));
        bed.ok(&["ingest", "t"]);
    }
    bed.write("old", &first[160_000..190_000]);
    let found = bed.json(&["find", "old"]);
    let best = &found["matches"][0];
    assert_eq!((&best["path"], &best["versions"]), (&"t/data.bin".into(), &vec![1].into()));
    assert_eq!((&best["containment"], &best["exact"]), (&1.0.into(), &false.into()));
    let range = &best["ranges"][0];
    assert_eq!(
        (&range["query"], &range["file"], &range["bytes"]),
        (&0.into(), &160_000.into(), &30_000.into())
    );
    let found = bed.ok(&["find", "old"]);
    let text = found.text();
    assert!(text.contains("100.0 %") && text.contains("t/data.bin, version 1"), "{text}");
    assert!(bed.ok(&["find", "old", "--version", "2"]).text().contains("nothing stored resembles it"));

    let copy = bed.json(&["find", "t/same.bin", "-k", "1"]);
    assert_eq!(copy["matches"][0]["exact"], true);
    assert_eq!(copy["matches"][0]["versions"], serde_json::json!([1, 2]));
}

#[test]
fn standard_input_is_searched_like_a_file() {
    let bed = Bed::new();
    let content = noise(5, 400_000);
    bed.write("t/file", &content);
    bed.ok(&["ingest", "t"]);
    let query = [noise(6, 3000), content[1234..301_234].to_vec()].concat();
    let query_file = bed.write("query", &query);
    let answer = bed.feed(&["find", "-", "--json"], &query);
    assert_eq!((answer.status, &*answer.stderr), (0, ""));
    assert_eq!(answer.json(), bed.json(&["find", "query"]));
    assert_eq!(answer.json()["matches"][0]["bytes"], 300_000);
    fs::remove_file(query_file).unwrap();
    assert!(bed.run(&["find", "query"]).line(1).contains("query"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bed = Bed::new();
    bed.write("t/file", noise(1, 5000));
    assert!(bed.run(&["find", "t/file"]).line(1).contains("no store"));
    bed.ok(&["ingest", "t"]);
    assert!(bed.run(&["find", "t"]).line(1).contains("directory"));
    assert!(bed.run(&["find", "t/file", "--least", "2"]).line(2).contains("0 to 1"));
    assert!(bed.run(&["find", "t/file", "--version", "9"]).line(1).contains("version 9"));
}

#[test]
fn the_density_of_the_index_is_frozen_with_the_store() {
    let bed = Bed::new();
    let content = noise(9, 300_000);
    bed.write("t/file", &content);
    bed.ok(&["ingest", "t", "--search-density", "4"]);
    for from in [1000, 77_777, 150_001, 222_222, 280_000] {
        bed.write("snippet", &content[from..from + 600]);
        assert_eq!(bed.json(&["find", "snippet"])["matches"][0]["bytes"], 600, "{from}");
    }
    bed.ok(&["ingest", "t", "--search-density", "4"]);
    assert!(bed.run(&["ingest", "t", "--search-density", "1"]).line(1).contains("--search-density 4"));
    bed.ok(&["ingest", "t"]);
}
