//! The README and the pages say what the code does.

use std::path::Path;

use offboard::{config::Config, judgement::Veto, providers::ProviderKind, source::KINDS};

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

#[test]
fn page_lists_every_kind_of_source_as_its_file_says() {
    let mut table = "| kind | sender | authentication | limitations |\n| --- | --- | --- | --- |\n".to_owned();
    for kind in KINDS {
        let row = kind.spec().unwrap_or_else(|fault| panic!("{fault}"));
        let guide = format!("sources/{}.md", kind.name);
        let exists = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(&guide).exists();
        let name = if exists { format!("[`{}`]({guide})", kind.name) } else { format!("`{}`", kind.name) };
        table +=
            &format!("| {name} | [{}]({}) | {} | {} |\n", row.sender, row.page, row.authentication, row.limitations);
    }
    assert!(text("docs/sources.md").contains(&table), "docs/sources.md must contain:\n{table}");
}

#[test]
fn guides_are_those_that_the_kinds_of_sources_name() {
    let specs = KINDS.iter().map(|kind| kind.spec().unwrap_or_else(|why| panic!("{why}")));
    let named: std::collections::BTreeSet<_> = specs.flat_map(|spec| spec.guides).collect();
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources")).unwrap();
    let files = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
    let guides = files.map(|file| file.strip_suffix(".md").expect("a page").to_owned()).collect();
    assert_eq!(named, guides);
}

/// All pages, each with its text.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of = |folder: &str| {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<_> = files.map(|file| format!("{folder}/{}", file.to_str().unwrap())).collect();
        names.into_iter().filter(|name| name.ends_with(".md")).collect::<Vec<_>>()
    };
    let names = [of("."), of("docs"), of("docs/sources"), of("docs/providers"), of("events")].concat();
    names.into_iter().map(|name| (name.clone(), text(&name))).collect()
}

/// Indented blocks of a page: lines that are indented by four columns more than the text.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in page.lines() {
        match line.trim_start() {
            "" => blocks.last_mut().unwrap().push('\n'),
            inner if line.len() - inner.len() >= 4 => *blocks.last_mut().unwrap() += &format!("{inner}\n"),
            _ => blocks.push(String::new()),
        }
    }
    blocks
}

#[test]
fn every_configuration_of_a_source_in_a_page_is_read() {
    let mut read = 0;
    for (page, text) in pages() {
        for block in blocks(&text).iter().filter(|block| block.trim_start().starts_with("[sources.")) {
            let whole = format!("{block}\n[providers.instaply]\nkind = \"instaply\"\n");
            Config::parse(&whole, None).unwrap_or_else(|faults| panic!("{page}: {faults}\n{block}"));
            read += 1;
        }
    }
    assert!(read >= 9, "only {read} configurations were found");
}

#[test]
fn readme_is_read_in_five_minutes() {
    let lines = text("README.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}

/// The anchor that is made of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_of_a_page_leads_to_a_file_and_a_heading() {
    let mut links = 0;
    for (page, content) in pages() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(&page);
        for link in content.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { folder.clone() } else { folder.parent().unwrap().join(file) };
            assert!(path.exists(), "{page} links to {link}");
            if !heading.is_empty() {
                let target = std::fs::read_to_string(&path).unwrap();
                let headings =
                    target.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
                assert!(headings.map(anchor).any(|anchor| anchor == heading), "{page} links to {link}");
            }
            links += 1;
        }
    }
    assert!(links > 100, "only {links} links were found");
}

#[test]
fn every_path_that_a_page_for_contributors_names_exists() {
    let mut paths = 0;
    for page in ["CONTRIBUTING.md", "docs/architecture.md", "docs/testing.md"] {
        let content = text(page);
        for name in
            content.split('`').skip(1).step_by(2).filter(|name| !name.contains([' ', '…']) && !name.contains("NAME"))
        {
            if ["src/", "cli/", "sandbox/", "tests/", "e2e/", "docs/", ".ci/"]
                .iter()
                .any(|folder| name.starts_with(folder))
            {
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists(), "{page} names {name}");
                paths += 1;
            }
        }
    }
    assert!(paths > 40, "only {paths} paths were found");
}

#[test]
fn page_on_a_product_of_ones_own_describes_every_key_of_the_language() {
    let page = text("docs/add-a-provider.md");
    for (heading, keys) in ProviderKind::file_keys() {
        let section = page.split("\n### ").find(|section| section.lines().next() == Some(heading));
        let section = section.unwrap_or_else(|| panic!("docs/add-a-provider.md: no section {heading}"));
        // The first cell of a table row names one key, or several.
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
        let described: Vec<_> = rows.flat_map(|cell| cell.split("`, `")).map(|key| key.trim_end_matches('`')).collect();
        for key in keys {
            assert!(described.contains(key), "docs/add-a-provider.md: {heading} has no row of `{key}`");
        }
        for key in described {
            assert!(keys.contains(&key), "docs/add-a-provider.md: {heading} has a row of `{key}`, which is no key");
        }
    }
}

/// Whether a page has a table row that begins with this name.
fn has_row(page: &str, name: &str) -> bool {
    text(page).lines().any(|line| line.starts_with(&format!("| `{name}` |")))
}

#[test]
fn every_reason_and_outcome_has_a_row_in_the_page_about_the_report() {
    for reason in Veto::ALL {
        assert!(has_row("docs/report.md", reason.as_str()), "docs/report.md: {reason}");
        assert!(has_row("docs/operate.md", reason.as_str()), "docs/operate.md: {reason}");
    }
    let report = text("docs/report.md");
    for variant in text("src/outcome.rs").split("pub enum Outcome {").nth(1).unwrap().split('}').next().unwrap().lines()
    {
        let variant = variant.trim().trim_end_matches(',');
        let name = variant.char_indices().fold(String::new(), |name, (n, c)| match c {
            c if c.is_uppercase() && n > 0 => format!("{name}_{}", c.to_lowercase()),
            c => format!("{name}{}", c.to_lowercase()),
        });
        let is_variant = !variant.is_empty() && !variant.starts_with('/');
        assert!(!is_variant || report.contains(&format!("`{name}`")), "docs/report.md: {name}");
    }
}

#[test]
fn every_parameter_and_alarm_of_the_template_has_a_row() {
    let template = text("template.yaml");
    let parameters = template.split("\nParameters:\n").nth(1).unwrap().split("\nConditions:").next().unwrap();
    let keys = |block: &str| -> Vec<String> {
        let keys =
            block.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':'));
        keys.map(|line| line.trim().trim_end_matches(':').to_owned()).collect()
    };
    let deploy = text("docs/deploy.md");
    for parameter in keys(parameters) {
        assert!(deploy.contains(&format!("`{parameter}`")), "docs/deploy.md: {parameter}");
    }
    let alarms: Vec<_> = keys(&template).into_iter().filter(|key| key.ends_with("Alarm")).collect();
    assert!(alarms.len() > 10, "{alarms:?}");
    for alarm in alarms {
        assert!(has_row("docs/operate.md", &alarm), "docs/operate.md: {alarm}");
    }
}

#[test]
fn metric_of_an_alarm_is_published() {
    let template = text("template.yaml");
    let own = template.split("Namespace: offboard\n").skip(1).filter_map(|rest| rest.split("MetricName: ").nth(1));
    let alarmed: std::collections::BTreeSet<_> = own.filter_map(|rest| rest.lines().next()).collect();
    let code =
        ["src/metrics.rs", "src/flow/tick.rs", "src/flow/publishing.rs", "src/flow/exporting.rs", "src/handler.rs"]
            .map(text)
            .join("\n");
    // Counted by API Gateway's log.
    for name in alarmed.iter().filter(|name| **name != "TooManyRequests") {
        assert!(code.contains(&format!("\"{name}\"")), "nothing publishes {name}");
    }
    assert!(alarmed.len() > 8, "{alarmed:?}");
}
