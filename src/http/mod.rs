//! stub
/// An ordered list of header fields.
#[derive(Debug, Default, Clone)]
pub struct Headers;
impl Headers {
    pub fn get(&self, _name: &str, _index: usize) -> Option<&[u8]> {
        None
    }
    pub fn at(&self, _position: usize) -> Option<(&std::ffi::CStr, &std::ffi::CStr)> {
        None
    }
}
