//! The field's tools: finds them, converts a workbook to a form, compiles the driver.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Workbooks that today's pyxform refuses for what our lenient reader overlooks.
const MENDED: [&str; 3] =
    ["databrew__bohemia__in_migration", "unhcr__koboloadeR__form", "validmeasures__liberiaS3Mforms__liberiaCoverage"];

/// Where pyxform and the JavaRosa inside it are, and the driver that was compiled against that.
pub(crate) struct Tools {
    python: PathBuf,
    pub(crate) classes: String,
    /// Holds the driver's classes and all forms; gone with the tools.
    pub(crate) folder: tempfile::TempDir,
}

impl Tools {
    /// Finds pyxform where `tests/run.sh` puts it, in the build folder, and compiles the driver.
    pub(crate) fn find() -> Result<Self> {
        let python = end_to_end::server::program("pyxform/bin/python")
            .ok()
            .context("pyxform is missing: sh tests/run.sh installs it")?;
        let library = python.ancestors().nth(2).context("no folder")?.join("lib");
        let jar = std::fs::read_dir(library)?
            .filter_map(Result::ok)
            .map(|python| python.path().join("site-packages/pyxform/validators/odk_validate/bin/ODK_Validate.jar"))
            .find(|jar| jar.is_file())
            .context("pyxform ships no validator")?;
        let folder = tempfile::tempdir()?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/javarosa");
        let compiled = Command::new("javac")
            .args(["-nowarn", "-Xlint:none", "-cp"])
            .arg(&jar)
            .arg("-d")
            .arg(folder.path())
            .args([sources.join("Driver.java"), sources.join("Device.java")])
            .output()
            .context("javac is missing: apt-get install openjdk-17-jdk-headless")?;
        ensure!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let classes = std::env::join_paths([folder.path(), &jar])?.to_string_lossy().into_owned();
        Ok(Self { python, classes, folder })
    }

    /// Converts a workbook; returns the form, in a folder of its own.
    pub(crate) fn convert(&self, workbook: &Path) -> Result<PathBuf> {
        let stem = workbook.file_stem().context("no name")?.to_string_lossy().into_owned();
        let folder = self.folder.path().join(&stem);
        std::fs::create_dir_all(&folder)?;
        let form = folder.join("form.xml");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/javarosa/convert.py");
        let mut command = Command::new(&self.python);
        command.arg(script).arg(workbook).arg(&form);
        if MENDED.contains(&stem.as_str()) {
            command.arg("mend");
        }
        let converted = command.output()?;
        let said = String::from_utf8_lossy(&converted.stderr);
        ensure!(form.is_file(), "{stem}: pyxform: {}", said.lines().last().unwrap_or_default());
        Ok(form)
    }
}
