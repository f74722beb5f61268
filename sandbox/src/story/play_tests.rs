use http::HeaderMap;

use super::*;

fn ending(members: &[&str], mismatches: &[&str]) -> Ending {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let left = Left {
        provider: "flashduty",
        before: texts(&[cast::LEE, cast::RIA]),
        members: texts(members),
        expected: texts(&[cast::RIA]),
    };
    let done = Done { what: What::Tick, elapsed_ms: 0, mismatches: texts(mismatches) };
    let scenes = vec![Played { title: "A tick", acts: vec![done] }];
    let (evidence, mismatches) = (PathBuf::new(), Vec::new());
    Ending { as_expected: true, elapsed_ms: 0, scenes, left: vec![left], evidence, mismatches }
}

#[test]
fn ending_names_the_scene_and_the_provider_that_did_not_end_as_expected() {
    assert_eq!(ending(&[cast::RIA], &[]).all_mismatches(), [""; 0]);
    let account = "flashduty: not the accounts that must remain";
    for members in [&[][..], &[cast::LEE, cast::RIA]] {
        assert_eq!(ending(members, &[]).all_mismatches(), [account], "{members:?}");
    }
    assert_eq!(ending(&[], &["it failed"]).all_mismatches(), ["A tick: 1 mismatches", account]);
}

#[test]
fn answer_that_differs_is_a_mismatch_in_each_part() {
    let providers = |outcome: &str| super::super::PROVIDERS.map(|name| json!({"provider": name, "outcome": outcome}));
    let answer = |status: &str, outcome: &str| json!({"departures": [{"status": status, "reasons": [], "providers": providers(outcome)}]});
    let count = |status: u16, answer: &Value| {
        let (headers, elapsed) = (HeaderMap::new(), std::time::Duration::ZERO);
        of_delivery(&Expected::DONE, &Reply { status, headers, text: answer.to_string(), elapsed }).len()
    };
    assert_eq!(count(200, &answer("done", "deleted")), 0);
    assert_eq!(count(200, &answer("pending", "deleted")), 1);
    assert_eq!(count(200, &answer("done", "planned")), 5);
    assert_eq!(count(200, &json!({"departures": []})), 1);
    assert_eq!(count(503, &answer("done", "deleted")), 1);
}
