//! The files of the checkout.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Returns the checkout's root.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Reads a file of the checkout; `None` if there is none.
///
/// # Errors
/// [`Error::File`] if it exists and cannot be read.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<String>> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

/// Reads a file.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_path_buf(), source })
}

/// Writes a file.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn write(path: &Path, text: &str) -> Result {
    std::fs::write(path, text).map_err(|source| Error::File { path: path.to_path_buf(), source })
}

/// Copies a file, if the copy is not the same already: what was built from it stays.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn copy(from: &Path, to: &Path) -> Result {
    let read = |path: &Path| std::fs::read(path).map_err(|source| Error::File { path: path.to_path_buf(), source });
    let bytes = read(from)?;
    if to.exists() && read(to)? == bytes {
        return Ok(());
    }
    std::fs::write(to, bytes).map_err(|source| Error::File { path: to.to_path_buf(), source })
}

/// Copies a folder with everything in it.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn copy_all(from: &Path, to: &Path) -> Result {
    create(to)?;
    let error = |source| Error::File { path: from.to_path_buf(), source };
    for entry in std::fs::read_dir(from).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let copy = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() { copy_all(&path, &copy)? } else { self::copy(&path, &copy)? }
    }
    Ok(())
}

/// Makes a folder, and those above it.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn create(folder: &Path) -> Result {
    std::fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.to_path_buf(), source })
}

/// Removes a folder with everything in it, if it is there.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn remove(folder: &Path) -> Result {
    if !folder.exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(folder).map_err(|source| Error::File { path: folder.to_path_buf(), source })
}

/// Returns the file of a folder that was written last, if there is one.
pub(crate) fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let dated = entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())));
    dated.max().map(|(_, path)| path)
}

/// Returns all Rust files below `folder`, sorted, without build output.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result {
    let error = |source| Error::File { path: folder.to_path_buf(), source };
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let skipped = name.starts_with('.') || name.starts_with("target") || name == "node_modules";
        if path.is_dir() && !skipped {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns the lines of a Rust file before its test module, with their numbers from 1.
pub(crate) fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let all: Vec<&str> = text.lines().collect();
    let tests = all.windows(2).position(|pair| match pair {
        [attribute, module] => attribute.trim() == "#[cfg(test)]" && module.starts_with("mod "),
        _ => false,
    });
    let end = tests.unwrap_or(all.len());
    all.into_iter().take(end).enumerate().map(|(index, line)| (index + 1, line))
}
