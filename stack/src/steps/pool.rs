//! The engine's pool: btrfs in a sparse file, mounted inside the instance's mount namespace only.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::command::{program, run};
use crate::steps::Inside;

const SIZE: u64 = 12 << 30;

pub(crate) async fn up(inside: &Inside) -> Result<()> {
    let place = inside.instance.path("pool");
    let mounted = fs::read_to_string("/proc/self/mounts")?
        .lines()
        .any(|line| mount_point(line) == place.to_str());
    if !mounted {
        let file = inside.instance.path("pool.btrfs");
        if !file.exists() {
            let new = file.with_extension("new");
            fs::File::create(&new)?.set_len(SIZE)?;
            run(program("mkfs.btrfs")
                .args(["--quiet", "--nodiscard"])
                .arg(&new))
            .await?;
            fs::rename(&new, &file)?;
        }
        fs::create_dir_all(&place)?;
        mount(&file, &place).await?;
        std::os::unix::fs::chown(&place, Some(999), Some(999))?;
    }
    inside.progress.step("engine pool ready");
    Ok(())
}

/// The loop device ends with the mount, and the mount with the namespace.
async fn mount(file: &Path, place: &Path) -> Result<()> {
    let options = "loop,noatime,user_subvol_rm_allowed";
    run(program("mount")
        .args(["--types", "btrfs", "--options", options])
        .arg(file)
        .arg(place))
    .await
}

fn mount_point(line: &str) -> Option<&str> {
    line.split(' ').nth(1)
}
