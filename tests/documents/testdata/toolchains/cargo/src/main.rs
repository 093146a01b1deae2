fn main() {
    println!("hello from {}", std::env::consts::ARCH);
}

#[test]
fn runs_on_aarch64() {
    assert_eq!(std::env::consts::ARCH, "aarch64");
}
