//! Sets what a shared library carries in its own file: its name, and that it is never unloaded.
//!
//! It writes nothing: the header is committed and made by `scripts/header`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let minor = std::env::var("CARGO_PKG_VERSION_MINOR").expect("cargo sets the version");
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets the version");
    // While the version is 0.x every minor version may change the ABI, so the name carries it.
    let abi = if major == "0" { format!("0.{minor}") } else { major };
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux" | "freebsd" | "netbsd" | "openbsd" | "dragonfly") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libws101.so.{abi}");
            // Threads and thread-local destructors make dlclose unsafe.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
        Ok("macos" | "ios") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libws101.{abi}.dylib");
        }
        _ => {}
    }
}
