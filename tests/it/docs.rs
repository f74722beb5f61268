//! The README and the guides say what the code does.

use std::path::Path;

use offboard::{config::Config, source::KINDS};

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

#[test]
fn the_readme_lists_every_kind_of_source_as_its_file_tells_it() {
    let mut table = "| kind | sender | authentication | limitations |\n| --- | --- | --- | --- |\n".to_owned();
    for kind in KINDS {
        let row = kind.spec().unwrap_or_else(|fault| panic!("{fault}"));
        let guide = format!("docs/sources/{}.md", kind.name);
        let exists = Path::new(env!("CARGO_MANIFEST_DIR")).join(&guide).exists();
        let name = if exists { format!("[`{}`]({guide})", kind.name) } else { format!("`{}`", kind.name) };
        table +=
            &format!("| {name} | [{}]({}) | {} | {} |\n", row.sender, row.page, row.authentication, row.limitations);
    }
    assert!(text("README.md").contains(&table), "README.md should hold:\n{table}");
}

/// The guides, each with its text.
fn guides() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources")).unwrap();
    let names = folder.map(|entry| format!("docs/sources/{}", entry.unwrap().file_name().to_str().unwrap()));
    names.map(|name| (name.clone(), text(&name))).collect()
}

/// What stands in a page as it is to be typed: lines that are moved in by four columns more than the text.
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
fn every_configuration_in_a_guide_is_good() {
    let mut read = 0;
    for (page, text) in guides() {
        for block in blocks(&text).iter().filter(|block| block.trim_start().starts_with("[sources.")) {
            let whole = format!("{block}\n[providers.instaply]\nkind = \"instaply\"\n");
            Config::parse(&whole, None).unwrap_or_else(|faults| panic!("{page}: {faults}\n{block}"));
            read += 1;
        }
    }
    assert!(read >= 6, "only {read} configurations were found");
}

#[test]
fn every_file_that_a_page_links_to_is_there() {
    let pages = ["README.md", "docs/deploy.md", "docs/operate.md", "docs/sam-local.md"].map(str::to_owned);
    let mut links = 0;
    for page in pages.into_iter().chain(guides().into_iter().map(|(name, _)| name)) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(&page);
        let content = text(&page);
        for link in content.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !link.contains("://") && !file.is_empty() {
                assert!(folder.parent().unwrap().join(file).exists(), "{page} links to {link}");
                links += 1;
            }
        }
    }
    assert!(links > 20, "only {links} links were found");
}

#[test]
fn every_metric_of_the_template_is_published() {
    let template = text("template.yaml");
    let own = template.split("Namespace: offboard\n").skip(1).filter_map(|rest| rest.split("MetricName: ").nth(1));
    let alarmed: std::collections::BTreeSet<_> = own.filter_map(|rest| rest.lines().next()).collect();
    let code = ["src/metrics.rs", "src/flow/tick.rs", "src/handler.rs"].map(text).join("\n");
    // Counted by API Gateway's log.
    for name in alarmed.iter().filter(|name| **name != "TooManyRequests") {
        assert!(code.contains(&format!("\"{name}\"")), "nothing publishes {name}");
    }
    assert!(alarmed.len() > 8, "{alarmed:?}");
}
