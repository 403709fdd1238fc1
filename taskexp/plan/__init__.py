"""Plan: what is to be run, as pure values; nothing here touches the system."""
