//! Turns the files of the built-in kinds of providers into JSON: a start reads JSON several times faster than TOML.

use std::{collections::BTreeMap, env, error::Error, fs, path::Path};

/// The files of the kinds.
const FOLDER: &str = "src/providers/kinds";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(FOLDER)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).ok_or("a file without a name")?.to_owned();
        let kind: serde_json::Value =
            toml::from_str(&fs::read_to_string(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
        kinds.insert(name, kind.to_string());
    }
    let kinds: Vec<_> = kinds.into_iter().collect();
    fs::write(Path::new(&env::var("OUT_DIR")?).join("kinds.rs"), format!("&{kinds:?}"))?;
    Ok(())
}
