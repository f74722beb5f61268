//! The known name that a misspelt one most likely means.

/// Returns the known name nearest to `name`; `None` if none is near enough to be what was meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One edit in a short name, one in three characters of a long one.
    let farthest = (name.chars().count() / 3).max(1);
    let distances = known.into_iter().map(|known| (strsim::osa_distance(name, known), known));
    distances.filter(|(distance, _)| *distance <= farthest).min().map(|(_, known)| known)
}

/// Returns what to say of an unknown name: the nearest known one, or all of them.
pub fn suggestion(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_name_finds_the_nearest_known_one() {
        let known = ["workos", "okta", "mode", "max_departures", "max_event_age", "id"];
        for (name, expected) in [
            ("wokros", Some("workos")),
            ("mod", Some("mode")),
            ("max_departure", Some("max_departures")),
            ("maxevntage", Some("max_event_age")),
            ("color", None),
            ("at", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
