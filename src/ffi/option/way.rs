//! The options that say which way a client takes: its proxy, and its own address.

use std::net::IpAddr;

use crate::error::{Error, Result, Status};
use crate::options::{Options, Secret};
use crate::transport::proxy::{Proxy, ProxyError};

/// "" = none.
pub(super) fn set_proxy(options: &mut Options, text: &str) -> Result<()> {
    if !text.is_empty() {
        // Looked at now, so that a program learns of a mistake where it made it.
        Proxy::parse(text).map_err(|error| {
            let status = if error == ProxyError::NotSupported { Status::NotSupported } else { Status::InvalidParameter };
            Error::new(status, format!("WS_OPTION_PROXY: {error}"))
        })?;
    }
    options.proxy = (!text.is_empty()).then(|| Secret(text.to_owned()));
    Ok(())
}

/// Without user name and password.
pub(super) fn proxy(options: &Options) -> String {
    let proxy = options.proxy.as_ref().and_then(|Secret(text)| Proxy::parse(text).ok());
    proxy.map_or_else(String::new, |proxy| proxy.to_string())
}

/// "" = any.
pub(super) fn set_own_address(options: &mut Options, text: &str) -> Result<()> {
    if text.is_empty() {
        options.own_address = None;
        return Ok(());
    }
    let address: IpAddr = text.parse().map_err(|_| {
        Error::new(Status::InvalidParameter, format!("WS_OPTION_BIND_ADDRESS: \"{}\" is no address", text.escape_default()))
    })?;
    options.own_address = Some(address);
    Ok(())
}

pub(super) fn own_address(options: &Options) -> String {
    options.own_address.map_or_else(String::new, |address| address.to_string())
}
