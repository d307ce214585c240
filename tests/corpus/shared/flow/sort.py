def sort(address):
    return len(address)
