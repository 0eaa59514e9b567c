"""The application of the testbed: images to bits and back, over any link of `semcom_phy`."""
