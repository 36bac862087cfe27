"""Makers of DICOM files for tests: any pixels, any header, any transfer syntax."""

from __future__ import annotations

import base64
import shutil
import subprocess
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
DCMTK_OPTIONS = {
    JPEGExtended12Bit: ("+ee",),
    JPEGLossless: ("+el",),
    JPEGLosslessSV1: ("+e1",),
}
"""What makes DCMTK's `dcmcjpeg` write these."""


def make_picture(
    rows: int = 256, columns: int = 240, bits: int = 8
) -> NDArray[np.uint8 | np.uint16]:
    """A smooth picture with two dark fields in a bright one, over most of `bits` bits."""
    y, x = np.mgrid[0:rows, 0:columns] / np.array([rows, columns]).reshape(2, 1, 1)
    fields = sum(np.exp(-(((x - at) / 0.16) ** 2) - ((y - 0.5) / 0.3) ** 2) for at in (0.28, 0.72))
    shares = np.clip(0.1 + 0.8 * (1 - fields) * (0.6 + 0.4 * y), 0, 1)
    dtype = np.uint8 if bits <= 8 else np.uint16
    picture: NDArray[np.uint8 | np.uint16] = np.rint(shares * ((1 << bits) - 1)).astype(dtype)
    return picture


def make_dataset(pixels: NDArray[Any] | None = None, **elements: Any) -> Dataset:
    """A computed radiograph of an adult's chest, PA, explicit little endian.

    `elements` replace or add by keyword; None takes an element away. Without `pixels` it is
    `make_picture()`. Bits Stored and what follows from it fit the pixels' type unless given.
    """
    if pixels is None:
        pixels = make_picture()
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.StudyDate = "20240601"
    dataset.StudyTime = "120000"
    dataset.Modality = "CR"
    dataset.PatientName = "Canary^Patient"
    dataset.PatientID = "CANARY-1"
    dataset.PatientBirthDate = "19600101"
    dataset.PatientAge = "064Y"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored = elements.pop("BitsStored", dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    dataset.add_new(
        "PixelData", "OB" if pixels.dtype.itemsize == 1 else "OW", _even(pixels.tobytes())
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid values are what some tests are about
        for keyword, value in elements.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def make_film(
    path: Path,
    pixels: NDArray[Any] | None = None,
    *,
    syntax: UID = ExplicitVRLittleEndian,
    **elements: Any,
) -> Path:
    """Write `make_dataset(pixels, **elements)` to `path` in a transfer syntax.

    HTJ2K cannot be encoded here: see `make_htj2k_film`. JPEG Extended and the lossless processes
    need DCMTK; without it the test is skipped.
    """
    dataset = make_dataset(pixels, **elements)
    if syntax == JPEGBaseline8Bit:
        assert pixels is None or pixels.dtype == np.uint8
        grey = make_picture() if pixels is None else pixels
        _, codestream = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 95])
        return write_encapsulated(path, dataset, codestream.tobytes(), syntax)
    if syntax in DCMTK_OPTIONS:
        return _compress_with_dcmtk(path, dataset, DCMTK_OPTIONS[syntax])
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = _even(
            np.asarray(pixels if pixels is not None else make_picture()).byteswap().tobytes()
        )
    elif syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax == JPEGLSNearLossless:
        dataset.compress(syntax, jls_error=2, generate_instance_uid=False)
    elif syntax == JPEG2000:
        dataset.compress(syntax, j2k_cr=[4], generate_instance_uid=False)
    else:
        assert syntax in (*NATIVE, DeflatedExplicitVRLittleEndian)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True, overwrite=True)
    return path


def write_encapsulated(path: Path, dataset: Dataset, codestream: bytes, syntax: UID) -> Path:
    """Write a dataset with a codestream, whatever it is, as its one frame."""
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True, overwrite=True)
    return path


def make_htj2k_film(path: Path, syntax: UID) -> Path:
    """A 16 bit film of `htj2k_picture()` in HTJ2K: lossless for the lossless syntaxes, RPCL."""
    assert syntax in (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
    codestream = base64.b85decode(_HTJ2K_LOSSY if syntax == HTJ2K else _HTJ2K_LOSSLESS)
    return write_encapsulated(path, make_dataset(htj2k_picture()), codestream, syntax)


def htj2k_picture() -> NDArray[np.uint16]:
    """What was encoded, by OpenJPH, into the two codestreams below."""
    y, x = np.mgrid[0:24, 0:32]
    picture: NDArray[np.uint16] = ((y * y * 3 + x * 57 + y * x) % 4096).astype(np.uint16)
    return picture


def deflated(path: Path, dataset: Dataset, inflated_size: int) -> Path:
    """Write a dataset deflated, with zeros behind it up to `inflated_size` bytes."""
    dataset.save_as(path, enforce_file_format=True, overwrite=True)
    whole = path.read_bytes()
    start = 144 + int.from_bytes(whole[140:144], "little")
    head = whole[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    head = head[:140] + (start - 144 + 2).to_bytes(4, "little") + head[144:]
    length_at = head.index(b"1.2.840.10008.1.2.1.99") - 2
    head = head[:length_at] + (22).to_bytes(2, "little") + head[length_at + 2 :]
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    body = deflater.compress(whole[start:])
    block = bytes(1 << 20)
    for _ in range(max(inflated_size - (len(whole) - start), 0) >> 20):
        body += deflater.compress(block)
    path.write_bytes(head + body + deflater.flush())
    return path


def _compress_with_dcmtk(path: Path, dataset: Dataset, options: tuple[str, ...]) -> Path:
    if shutil.which("dcmcjpeg") is None:
        pytest.skip("DCMTK's dcmcjpeg is not installed, which encodes this transfer syntax")
    plain = path.with_suffix(".plain")
    dataset.save_as(plain, enforce_file_format=True, overwrite=True)
    subprocess.run(["dcmcjpeg", *options, "+un", str(plain), str(path)], check=True)
    return path


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


_HTJ2K_LOSSLESS = (
    "|4;u>04YEK0000W0000O00000000000000W0000O0000000000009pH0sl|{2mk^A000XAQUDA90ssL31q1{"
    "@0smY86Cj9?kdTm&kdTm&kdTmwh=~7W02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00001eE<RflfVEb3;6"
    "{HbO68r6F>kHKmZc}Q27G~bO28H0|#^faQ*@ZbO68r6TkoyzyJ~e3J~=If^+~0cK85-GywY%GXTH<6;J>LsQ"
    ">^<2%rEU>Z$SqbpYS@`+eW{(T@j1u=xN04|C)(xB$?g1Ec`J02S~61=>IW6<`1oBsP$^{^o$EN^ydC0C(@*-"
    "QC^Y-QB%+cXxMpcXxru1t%B4T#$2t&;?5uP+j2l073vDgdhVS*RR%IjA}8l0RRB{<^Yho>PzSVzyK{+00s0E"
    "00Lkzjq?Bkf&rmmIQjk*^z`z2aDsaPwN+JBRaI40)mBwiRaI40Ra;e6RaI40Rc%#ORaI40Rkc-BRaI40RTVH"
    "4Kon3EU=(l^fE17vpcJqaz!cCF;1uu_02L4wApLj<KmrJa03e7!0tkcvG5vb|di{F+W&L{ndi{F+W&L{ndi{"
    "F+W&L{ndi{F+W$4DE8jNZ&xC8$GbpS;G|Je"
)
_HTJ2K_LOSSY = (
    "|4;u>04YEK0000W0000O00000000000000W0000O0000000000009pH0sl|{2mk^A001WcQUDA90ssL31q1{"
    "@0RLP7BO;VtlsA+&loE_dj7f|!gouQQgq(dLeIb2~boO-ibeaET02crOPjF>!N>E53R%LP^FfKASE;BCwkN^"
    "q*00000?f?P*lfVEIfb)X>1_yKizyK3K0206e5`awk0|#^f&H{&Y0MY>mbO68rDqsK;zyKo?E?8mq0RprDFN"
    "6L7Vl)5+GXTH<S`Yvhga8Df)Br9U1V-Vb`U5}w0$G;;6R1Tt8>9;m)ecW{Bowy*{@@670KfpXAOKqcq!bTeD"
    "T3&74Ek6kujH@5Ig5G#Sda~6!!*!FYN(I(VB7>CQ>GAsP0*_VzyWH&0dyb$ijqxYkN|o95?zsYA8Gqf*ts46"
    "0RtQuI52Qz<jBa8ks~9AhW`I?hb20El<D$Qr^!v<0RPz"
)
